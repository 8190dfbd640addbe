"""The console: server-rendered pages for a plant's operators, served by the API's own process."""
