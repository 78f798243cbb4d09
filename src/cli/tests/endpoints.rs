//! Endpoints of one's own, and when they do not count.

use super::*;

#[test]
fn what_is_typed_counts_whatever_a_machine_is_set_up_for() {
    let set = format!("{REMOTE} AWS_ENDPOINT_URL=http://a:1 AWS_ENDPOINT_URL_STS=no-url");
    let ignored = format!("{set} AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=TRUE");
    assert!(!problems_of(&set, "").is_empty());
    let cases = [
        ("", [None; 4]),
        ("--aws-endpoint-url http://b:2/", [Some("http://b:2"); 4]),
        ("--aws-endpoint-url-dynamodb http://b:2", [None, Some("http://b:2"), None, None]),
    ];
    for (arguments, expected) in cases {
        let aws = run_of(&ignored, arguments).aws.expect("aws");
        let found = [
            aws.s3_endpoint.as_deref(),
            aws.dynamodb_endpoint.as_deref(),
            aws.secrets_endpoint.as_deref(),
            aws.variables.get("AWS_ENDPOINT_URL_STS"),
        ];
        assert_eq!(found, expected, "{arguments}");
        let services = ["s3", "dynamodb", "secrets_manager", "sts"];
        let of_flags = services.map(|name| aws.flag_endpoints.get(name).map(String::as_str));
        assert_eq!(of_flags, expected, "{arguments}");
    }
    let variables = format!("{REMOTE} AWS_ENDPOINT_URL=http://a:1");
    let aws = run_of(&variables, "").aws.expect("aws");
    assert_eq!(aws.s3_endpoint.as_deref(), Some("http://a:1"));
    assert_eq!(aws.flag_endpoints, BTreeMap::new());
}
