"""The plant files that come with Nexova. A package, so that a checkout and a wheel find them in the same way."""
