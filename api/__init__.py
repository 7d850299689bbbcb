"""The desk, HTTP and the console."""
