"""Every request that the API's own schema allows, and many that it does not, by schemathesis."""
