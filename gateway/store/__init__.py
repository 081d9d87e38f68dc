"""The store behind server and reporting: schema and migrations, people, assignments, results, evidence."""
