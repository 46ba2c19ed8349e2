"""What every request goes through: errors, middleware, pagination, field types, OpenAPI."""
