"""The demonstration, and what it and the tests run against: embedded servers and made-up logs."""
