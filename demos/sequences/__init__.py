"""Video with exact masks, made of stills and their masks: see `demos.make_sequences`."""
