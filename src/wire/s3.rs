//! S3 requests and answers.
