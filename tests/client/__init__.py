"""TypeScript clients, generated from the OpenAPI document and compiled: `make client-check`."""
