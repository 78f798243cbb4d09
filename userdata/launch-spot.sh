#!/bin/bash
# Starts an EC2 Spot instance that runs one job and ends by itself (user-data.sh).
#
#   launch-spot.sh            starts it; prints its id, how to watch it and how to stop it
#   launch-spot.sh --dry-run  prints the call and the user data, starts nothing
#
# Everything is an environment variable. The job's are those of docs/settings.md; all that are
# set go along. The instance's:
#
#   BINARY_URL, BINARY_SHA256   needed: the binary for this architecture, and its SHA-256
#   SUBNET_ID                   needed
#   SECURITY_GROUP_ID           needed: egress to S3, DynamoDB and the brokers, nothing else
#   INSTANCE_PROFILE            needed: its role may do what docs/operations.md lists
#   AWS_REGION                  needed
#   ARCHITECTURE                arm64 (x86_64)
#   INSTANCE_TYPE               c7g.medium (c7i.large with x86_64)
#   AMI_ID                      the newest Amazon Linux 2023
#   PUBLIC_ADDRESS              no (yes, in a subnet without NAT and endpoints)
#   LOG_GROUP, RUNS_MAX, RUN_AGAIN_SECONDS, KEEP_INSTANCE   as user-data.sh has them
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

dry_run=
case ${1:-} in
    '') ;;
    --dry-run) dry_run=yes ;;
    *) sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "$0" >&2; exit 1 ;;
esac

# --- The settings, all problems at once -------------------------------------------------

problems=()
problem() { problems+=("$*"); }

for name in BINARY_URL BINARY_SHA256 SUBNET_ID SECURITY_GROUP_ID INSTANCE_PROFILE AWS_REGION \
    KAFKA_BOOTSTRAP_SERVERS KAFKA_TOPIC; do
    [ -n "${!name:-}" ] || problem "$name is missing"
done
[ -n "${SOURCE:-}" ] || { [ -n "${S3_BUCKET:-}" ] && [ -n "${S3_KEY:-}" ]; } || problem "S3_BUCKET and S3_KEY are missing (or SOURCE)"
[ -n "${CHECKPOINT:-}${DYNAMODB_TABLE:-}" ] || problem "DYNAMODB_TABLE is missing (or CHECKPOINT)"
case ${CHECKPOINT:-dynamodb:} in
    dynamodb:*) ;;
    *) problem "CHECKPOINT=$CHECKPOINT is on the instance and would end with it: use DYNAMODB_TABLE" ;;
esac
[[ ${BINARY_SHA256:-$(printf '0%.0s' {1..64})} =~ ^[0-9a-f]{64}$ ]] || problem "BINARY_SHA256 is not a SHA-256: 64 hexadecimal digits, as in SHA256SUMS of the build"
case ${BINARY_URL:-https://} in https://* | s3://*/*) ;; *) problem "BINARY_URL is neither https://... nor s3://bucket/key" ;; esac
case ${ARCHITECTURE:=arm64} in
    arm64) : "${INSTANCE_TYPE:=c7g.medium}" ;;
    x86_64) : "${INSTANCE_TYPE:=c7i.large}" ;;
    *) problem "ARCHITECTURE=$ARCHITECTURE: there are arm64 and x86_64" ;;
esac
case ${PUBLIC_ADDRESS:=no} in yes | no) ;; *) problem "PUBLIC_ADDRESS is yes or no" ;; esac
# Whoever may describe the instance can read its user data.
for name in KAFKA_SASL_PASSWORD KAFKA_SSL_KEY_PEM; do
    [ -z "${!name:-}" ] || [ "${SECRETS_IN_USER_DATA:-}" = yes ] ||
        problem "$name would stand in the instance's user data, which whoever may describe it can read: use AWS_MSK_IAM, or a secret of Secrets Manager (KAFKA_SASL_SECRET_ARN), or put it into the image and set ${name}_FILE; SECRETS_IN_USER_DATA=yes does it all the same"
done
[ -n "$dry_run" ] || command -v aws >/dev/null || problem "the AWS CLI (aws) is missing"
if [ "${#problems[@]}" -gt 0 ]; then
    printf 'launch-spot: %s\n' "${problems[@]}" >&2
    exit 1
fi

# --- The user data ----------------------------------------------------------------------

user_data=$(mktemp)
trap 'rm -f "$user_data"' EXIT
{
    echo '#!/bin/bash'
    # The job's settings and the script's own. Never this machine's credentials or endpoints.
    while IFS= read -r name; do
        printf 'export %s=%q\n' "$name" "${!name}"
    done < <(compgen -e | grep -E '^(SOURCE|S3_|CHECKPOINT|DYNAMODB_TABLE|JOB_ID|KAFKA_|CSV_|ROW_BYTES_MAX$|ON_BAD_ROW$|MAX_|LEASE_SECONDS$|VERIFY$|METRICS|ENABLE_METRICS$|LOG_LEVEL$|LOG_FORMAT$|LOG_GROUP$|SPOT_NOTICE$|BINARY_URL$|BINARY_SHA256$|RUNS_MAX$|RUN_AGAIN_SECONDS$|KEEP_INSTANCE$|AWS_REGION$|AWS_USE_FIPS_ENDPOINT$|AWS_USE_DUALSTACK_ENDPOINT$)' | LC_ALL=C sort)
    tail -n +2 "$here/user-data.sh"
} >"$user_data"
# What EC2 takes.
if [ "$(wc -c <"$user_data")" -gt 16384 ]; then
    echo "launch-spot: the user data would have $(wc -c <"$user_data") bytes, EC2 takes 16384: put certificates into files of the image (KAFKA_SSL_CA_FILE)" >&2
    exit 1
fi

# --- The call ---------------------------------------------------------------------------

image=${AMI_ID:-resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-$ARCHITECTURE}
public=--no-associate-public-ip-address
[ "$PUBLIC_ADDRESS" = no ] || public=--associate-public-ip-address
call=(aws ec2 run-instances --region "$AWS_REGION" --count 1
    --image-id "$image" --instance-type "$INSTANCE_TYPE"
    --subnet-id "$SUBNET_ID" --security-group-ids "$SECURITY_GROUP_ID" "$public"
    --iam-instance-profile "Name=$INSTANCE_PROFILE"
    --instance-market-options 'MarketType=spot,SpotOptions={SpotInstanceType=one-time,InstanceInterruptionBehavior=terminate}'
    --instance-initiated-shutdown-behavior terminate
    --metadata-options 'HttpEndpoint=enabled,HttpTokens=required,HttpPutResponseHopLimit=1'
    --tag-specifications "ResourceType=instance,Tags=[{Key=Name,Value=csv-to-kafka},{Key=job,Value=\"${JOB_ID:-csv-job-1}\"}]"
    --user-data "file://$user_data"
    --query 'Instances[0].InstanceId' --output text)

if [ -n "$dry_run" ]; then
    printf '%q ' "${call[@]}"
    printf '\n\n--- user data ---\n'
    cat "$user_data"
    exit 0
fi
instance=$("${call[@]}")
cat <<END
started $instance

watch:  csv-to-kafka status ${JOB_ID:-csv-job-1} --watch
        aws ec2 get-console-output --region $AWS_REGION --instance-id $instance --latest --output text
${LOG_GROUP:+        aws logs tail $LOG_GROUP --region $AWS_REGION --follow
}stop:   aws ec2 terminate-instances --region $AWS_REGION --instance-ids $instance
        (nothing is lost: the same command goes on from there)
END
