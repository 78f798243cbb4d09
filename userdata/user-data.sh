#!/bin/bash
# EC2 user data: fetches csv-to-kafka, runs one job with it, and ends the instance, whatever
# becomes of the job. For Amazon Linux 2023, Debian from 12 and Ubuntu from 22.04 on, x86_64 and
# arm64; needs nothing that is not there (bash, curl 7.76, coreutils, util-linux, awk, iconv).
#
# Put the settings before this text, as launch-spot.sh and the Terraform module do, or into
# /etc/csv-to-kafka.env of the image, one export NAME='value' a line:
#
#   BINARY_URL       needed: where the binary for this instance's processor is: https://... or
#                    s3://bucket/key, which is read with the role of the instance
#   BINARY_SHA256    needed: what it must be, from where it was built; never fetched from beside it
#   S3_BUCKET, S3_KEY, KAFKA_..., DYNAMODB_TABLE, JOB_ID, ...: as docs/settings.md has them
#   LOG_GROUP        a log group of CloudWatch Logs that exists: the log goes there too
#   AUTO_SCALING_GROUP  the group that started this instance: set to zero at the end, so that no
#                    other follows; not when EC2 takes the instance away
#   RUNS_MAX         how often the job is started in all (20), RUN_AGAIN_SECONDS apart (30)
#   KEEP_INSTANCE    yes: the instance is left running, to be looked at
#
# What becomes of the job:
#
#   0, 1             the instance ends: complete, or a person must act (the log says what)
#   75, killed       started again, at most RUNS_MAX times in all
#   75, Spot notice  the instance ends; the next one goes on from there
#
# The log: /var/log/csv-processor.log, and standard output, which cloud-init hands to the
# journal and to the console of the instance (aws ec2 get-console-output).
set -uo pipefail
# shellcheck disable=SC2317  # some of it is called by trap alone

log_file=${LOG_FILE:-/var/log/csv-processor.log}
settings_file=${SETTINGS_FILE:-/etc/csv-to-kafka.env}
program=${PROGRAM:-/usr/local/bin/csv-to-kafka}
metadata=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
metadata=${metadata%/}

say() { printf '%s user-data: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*"; }

# --- The instance's own data ------------------------------------------------------------

# imds PATH: prints it; fails where there is none.
imds() {
    local token
    token=$(curl -fsS --noproxy '*' -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
        "$metadata/latest/api/token" 2>/dev/null) || return 1
    curl -fsS --noproxy '*' -m 2 -H "X-aws-ec2-metadata-token: $token" "$metadata/latest/$1" 2>/dev/null
}

has_spot_notice() { imds meta-data/spot/instance-action >/dev/null; }

# --- AWS, by curl alone -----------------------------------------------------------------

# member NAME: the text of that member of the JSON object on standard input.
member() { tr -d '\n' | sed -n "s/.*\"$1\" *: *\"\\([^\"]*\\)\".*/\\1/p"; }

# Who we are: what the settings say, or the role of the instance.
credentials() {
    aws_region=${AWS_REGION:-$(imds meta-data/placement/region)}
    aws_id=${AWS_ACCESS_KEY_ID:-} aws_secret=${AWS_SECRET_ACCESS_KEY:-} aws_token=${AWS_SESSION_TOKEN:-}
    if [ -z "$aws_id" ]; then
        local role document
        role=$(imds meta-data/iam/security-credentials/) || return 1
        document=$(imds "meta-data/iam/security-credentials/$role") || return 1
        aws_id=$(printf '%s' "$document" | member AccessKeyId)
        aws_secret=$(printf '%s' "$document" | member SecretAccessKey)
        aws_token=$(printf '%s' "$document" | member Token)
    fi
    [ -n "$aws_region" ] && [ -n "$aws_id" ]
}

# The service's address in this region.
address() {
    local suffix=amazonaws.com
    case $aws_region in cn-*) suffix=amazonaws.com.cn ;; esac
    printf 'https://%s.%s.%s/' "$1" "$aws_region" "$suffix"
}

# signed SERVICE URL HEADER...: posts what is on standard input, prints the answer. The key
# stands on no command line, where any process could read it.
signed() {
    local service=$1 url=$2 header headers='' body
    shift 2
    body=$(mktemp) || return 1
    cat >"$body"
    for header in "$@"; do headers+="header = \"$header\""$'\n'; done
    [ -z "$aws_token" ] || headers+="header = \"X-Amz-Security-Token: $aws_token\""$'\n'
    curl -sS -m 10 --fail-with-body --aws-sigv4 "aws:amz:$aws_region:$service" --data-binary "@$body" -K - "$url" <<END
user = "$aws_id:$aws_secret"
$headers
END
    local code=$?
    rm -f "$body"
    return "$code"
}

# --- The log ----------------------------------------------------------------------------

logs() { # logs ACTION: the body is on standard input
    signed logs "${AWS_ENDPOINT_URL_LOGS:-$(address logs)}" \
        'Content-Type: application/x-amz-json-1.1' "X-Amz-Target: Logs_20140328.$1"
}

json_text() { sed 's/\\/\\\\/g; s/"/\\"/g; s/\t/\\t/g'; }

# From line $1 to line $2 of the log, as PutLogEvents takes them. A line is cut where 500 of
# them might exceed what one request may hold.
log_events() {
    sed -n "$1,$2p" "$log_file" | tr -d '\000-\010\013-\037' | cut -b1-1500 | iconv -c -f UTF-8 -t UTF-8 |
        json_text | sed 's/^$/ /' |
        awk -v now="$(date +%s)000" -v group="$LOG_GROUP" -v stream="$log_stream" '
            BEGIN { printf "{\"logGroupName\":\"%s\",\"logStreamName\":\"%s\",\"logEvents\":[", group, stream }
            { printf "%s{\"timestamp\":%s,\"message\":\"%s\"}", (NR > 1 ? "," : ""), now, $0 }
            END { printf "]}" }'
}

# Sends what has come since the last time; what it is told stands in a file, since this runs in
# a process of its own while the job does.
send_log() {
    local sent last
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sent=$(cat "$work/sent")
        last=$(wc -l <"$log_file")
        [ "$last" -gt "$sent" ] || return 0
        [ $((last - sent)) -le 500 ] || last=$((sent + 500))
        log_events $((sent + 1)) "$last" | logs PutLogEvents >"$work/answer" 2>&1 || return 1
        echo "$last" >"$work/sent"
    done
}

begin_log_group() {
    [ -n "${LOG_GROUP:-}" ] || return 0
    log_stream="${JOB_ID:-csv-job-1}/$(imds meta-data/instance-id || hostname)"
    log_stream=${log_stream//[^A-Za-z0-9_.\/-]/-}
    echo 0 >"$work/sent"
    if ! credentials; then
        say "LOG_GROUP is set, but there are no credentials or no region: the log stays here"
        return 1
    fi
    if ! printf '{"logGroupName":"%s","logStreamName":"%s"}' "$LOG_GROUP" "$log_stream" |
        logs CreateLogStream >"$work/answer" 2>&1 && ! grep -q ResourceAlreadyExists "$work/answer"; then
        say "the log stream $log_stream can not be made in $LOG_GROUP: $(head -c 400 "$work/answer")"
    fi
    say "the log goes to $LOG_GROUP, stream $log_stream"
    # Until somebody writes a line to 4: never in the middle of a request, which would come
    # again. A role's keys are renewed long before their end.
    mkfifo "$work/enough" && exec 4<>"$work/enough"
    while ! read -r -t "${LOG_SECONDS:-15}" -u 4; do credentials && send_log; done >/dev/null 2>&1 &
    log_sender=$!
}

end_log_group() {
    [ -n "$log_sender" ] || return 0
    for _ in 1 2 3; do
        if credentials && send_log; then return 0; fi
        sleep 1
    done
    say "the log could not be sent to $LOG_GROUP: $(head -c 400 "$work/answer" 2>/dev/null)"
}

# --- The job ----------------------------------------------------------------------------

# The log's last line where the program itself could not say why nothing came of it.
gave_up() {
    if [ "${LOG_FORMAT:-text}" = json ]; then
        printf '{"event":"gave_up","text":"%s","exit_code":%s}\n' "$(printf '%s' "$2" | json_text)" "$1"
    else
        say "$2  event=gave_up exit_code=$1"
    fi
}

# The binary at s3://bucket/key, with the role of the instance. Older curls do not sign the
# header that S3 asks for; the key stands on no command line.
fetch_s3() {
    local bucket=${1%%/*} key=${1#*/} url suffix=amazonaws.com token=''
    credentials || return 1
    case $aws_region in cn-*) suffix=amazonaws.com.cn ;; esac
    url="https://$bucket.s3.$aws_region.$suffix/$key"
    [ -z "${AWS_ENDPOINT_URL_S3:-}" ] || url="${AWS_ENDPOINT_URL_S3%/}/$bucket/$key"
    [ -z "$aws_token" ] || token="header = \"X-Amz-Security-Token: $aws_token\""
    curl -fsS --connect-timeout 10 -m 120 --retry 6 --retry-all-errors --aws-sigv4 "aws:amz:$aws_region:s3" \
        -o "$program.new" -K - "$url" <<END
user = "$aws_id:$aws_secret"
header = "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD"
$token
END
}

# After 1, 2, 4, ... seconds: a minute in all.
download() {
    case $BINARY_URL in
        s3://*/*) fetch_s3 "${BINARY_URL#s3://}" ;;
        *) curl -fsSL --connect-timeout 10 -m 120 --retry 6 --retry-all-errors -o "$program.new" "$BINARY_URL" ;;
    esac
}

# Says what is wrong in problem.
fetch() {
    if [ -z "${BINARY_URL:-}" ] || [ -z "${BINARY_SHA256:-}" ]; then
        problem="BINARY_URL and BINARY_SHA256 are needed: the binary's address and its SHA-256"
        return 1
    fi
    # A signed address holds a secret after its question mark.
    local place=${BINARY_URL%%\?*} sum
    say "fetching $place"
    mkdir -p "$(dirname "$program")"
    if ! download; then
        problem="the binary can not be fetched from $place. See whether the address is right, and this subnet and role may read it"
        return 1
    fi
    sum=$(sha256sum "$program.new" | cut -d' ' -f1)
    if [ "$sum" != "$BINARY_SHA256" ]; then
        rm -f "$program.new"
        problem="the binary has the SHA-256 $sum, but BINARY_SHA256 is $BINARY_SHA256. It was not run. Compare both with SHA256SUMS of your build"
        return 1
    fi
    chmod 755 "$program.new" && mv "$program.new" "$program"
    local version
    if ! version=$("$program" --version 2>&1); then
        problem="the binary does not run on this $(uname -m): BINARY_URL must fit the processor"
        return 1
    fi
    say "$version"
}

# One run, as nobody. SIGTERM to this script ends it in good order.
run_once() {
    setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs "$program" run &
    job=$!
    wait "$job"
    local code=$?
    # A signal to us ends the wait, not the run.
    while kill -0 "$job" 2>/dev/null; do
        wait "$job"
        code=$?
    done
    job=
    return "$code"
}

run_until_done() {
    local code=1 number
    for ((number = 1; number <= ${RUNS_MAX:-20}; number++)); do
        say "run $number of at most ${RUNS_MAX:-20}"
        run_once
        code=$?
        say "run $number ended with $code"
        case $code in 0 | 1) return "$code" ;; esac
        if [ -n "$is_asked_to_stop" ]; then return 75; fi
        if has_spot_notice; then
            say "EC2 takes this instance away; the next one goes on from here"
            is_asked_to_stop=yes
            return 75
        fi
        if ((number == ${RUNS_MAX:-20})); then break; fi
        sleep "${RUN_AGAIN_SECONDS:-30}" &
        wait $!
        if [ -n "$is_asked_to_stop" ]; then return 75; fi
    done
    gave_up "$code" "the job was started ${RUNS_MAX:-20} times (RUNS_MAX) and is not complete. Its progress is saved: start another instance"
    return "$code"
}

# Another instance would find nothing to do, or fail in the same way; not where this one has to go.
empty_group() {
    if [ -z "${AUTO_SCALING_GROUP:-}" ] || [ -n "$is_asked_to_stop" ]; then return 0; fi
    local body="Action=SetDesiredCapacity&Version=2011-01-01&DesiredCapacity=0&HonorCooldown=false"
    body+="&AutoScalingGroupName=$AUTO_SCALING_GROUP"
    for _ in 1 2 3 4 5; do
        if credentials && printf '%s' "$body" | signed autoscaling \
            "${AWS_ENDPOINT_URL_AUTO_SCALING:-$(address autoscaling)}" \
            'Content-Type: application/x-www-form-urlencoded' >"$work/answer" 2>&1; then
            say "the group $AUTO_SCALING_GROUP is set to zero"
            return 0
        fi
        sleep 2
    done
    say "the group $AUTO_SCALING_GROUP could not be set to zero and will start another instance: $(head -c 400 "$work/answer" 2>/dev/null)"
}

main() {
    if [ -r "$settings_file" ]; then
        say "settings from $settings_file"
        set -a
        # shellcheck source=/dev/null
        . "$settings_file"
        set +a
    fi
    begin_log_group
    if ! fetch; then
        gave_up 1 "$problem"
        return 1
    fi
    run_until_done
}

# --- The end ----------------------------------------------------------------------------

end_instance() {
    if [ "${KEEP_INSTANCE:-}" = yes ]; then
        say "KEEP_INSTANCE=yes: the instance goes on. End it with: shutdown -h now"
        return
    fi
    sync
    shutdown -h now || systemctl poweroff || poweroff -f
}

# However the script ends. What might fail is in processes of its own: the instance ends all the same.
finish() {
    (empty_group)
    say "done, exit code $exit_code"
    # All that was said is in the file before the file is sent.
    exec >&3 2>&3
    wait "$log_writer"
    if [ -n "$log_sender" ]; then
        echo >&4
        wait "$log_sender"
    fi
    (end_log_group)
    rm -rf "$work"
    end_instance
    exit "$exit_code"
}

mkdir -p "$(dirname "$log_file")"
work=$(mktemp -d)
job='' problem='' log_sender='' is_asked_to_stop='' exit_code=1
exec 3>&1
exec > >(trap '' TERM INT; exec tee -a "$log_file" >&3) 2>&1
log_writer=$!
trap finish EXIT
trap 'is_asked_to_stop=yes; [ -z "$job" ] || kill -TERM "$job"' TERM INT
main
exit_code=$?
