//! What S3 takes in the place of a bucket, and we do not.

use super::*;

#[test]
fn other_than_a_bucket() {
    let (point, directory) = ("arn:aws:s3:eu-west-1:1:accesspoint/ap", "b--use1-az4--x-s3");
    let cases = [
        (format!("{LOCAL} SOURCE=s3://{point}/k"), "alias"),
        (format!("{REMOTE} S3_BUCKET={point}"), "alias"),
        (format!("{LOCAL} SOURCE=s3://{directory}/k"), "S3 Express One Zone"),
        (format!("{REMOTE} S3_BUCKET={directory}"), "S3 Express One Zone"),
    ];
    for (variables, expected) in cases {
        let [problem] = problems_of(&variables, "").try_into().unwrap();
        assert!(problem.contains(expected), "{problem}");
    }
    assert!(parsed(&format!("{REMOTE} S3_BUCKET=ap-1234-s3alias"), "").command.is_ok());
}
