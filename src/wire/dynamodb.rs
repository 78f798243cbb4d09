//! DynamoDB requests and answers.
