"""The client for web pages."""
