"""What can be tried out with the project: the browser demo, the benchmark, the sample video."""
