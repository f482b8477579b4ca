"""A node's durable state: tables, the store on SQLite and PostgreSQL, and a store in memory."""
