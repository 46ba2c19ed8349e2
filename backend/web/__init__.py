"""How the API is served over HTTP: middleware, error handlers, the OpenAPI document, the documentation pages."""
