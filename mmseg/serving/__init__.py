"""A model behind HTTP: `mmseg serve`. `app` holds the doors, `service` the way of an image, `batcher` the queue."""
