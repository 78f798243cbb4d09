"""Real systems for the tests: brokers, an S3 server, a DynamoDB stand-in, proxies that do harm, and the product run as a user runs it."""
