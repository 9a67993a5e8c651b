"""What is fitted after training and handed to the engine as files: precision, probability, view."""
