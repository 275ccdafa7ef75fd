"""The `realtime-facade` command: a demo, a simulator to develop against, and what is configured."""
