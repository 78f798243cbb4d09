//! AWS Signature Version 4 over one request.
