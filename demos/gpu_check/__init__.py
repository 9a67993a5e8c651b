"""What an NVIDIA GPU makes of this engine: `python -m demos.gpu_check`, or `make gpu-check`."""
