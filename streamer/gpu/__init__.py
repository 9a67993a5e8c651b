"""Pictures on a GPU: read as the network's input, drawn upon, and never copied twice."""
