"""What ECS tells Step Functions of a task, for each way that one can end, and what must follow."""

import json

STARTS_MAX = 20


def task(exit_code: int | None, stop_code: str = "EssentialContainerExited", reason: str = "Essential container in task exited") -> dict:
    """The description of a stopped task, as runTask.sync hands it on as the cause."""
    container = {"Name": "csv-to-kafka", "LastStatus": "STOPPED", "NetworkInterfaces": []}
    if exit_code is not None:
        container["ExitCode"] = exit_code
    return {"Attachments": [], "Containers": [container], "DesiredStatus": "STOPPED", "LastStatus": "STOPPED",
            "LaunchType": "FARGATE", "StopCode": stop_code, "StoppedReason": reason}


def failed(*arguments) -> dict:
    return {"Throw": {"Error": "States.TaskFailed", "Cause": json.dumps(task(*arguments))}}


def refused(error: str, cause: str) -> dict:
    return {"Throw": {"Error": error, "Cause": cause}}


GOOD = {"Return": task(0)}
INTERRUPTED = failed(75)
NO_CAPACITY = refused("ECS.AmazonECSException", "Capacity is unavailable at this time. Please try again later or in a different availability zone")

# name: (what the starts come to, how the execution ends, after how many starts)
CASES = {
    "exit_0": ([GOOD], "SUCCEEDED", None, 1),
    "exit_1": ([failed(1), GOOD], "FAILED", "JobFailed", 1),
    "exit_75_twice": ([INTERRUPTED, INTERRUPTED, GOOD], "SUCCEEDED", None, 3),
    "exit_75_then_1": ([INTERRUPTED, failed(1), GOOD], "FAILED", "JobFailed", 2),
    "exit_75_for_ever": ([INTERRUPTED] * (STARTS_MAX + 5), "FAILED", "GaveUp", STARTS_MAX),
    "exit_137": ([failed(137, "EssentialContainerExited", "OutOfMemoryError: container killed"), GOOD], "SUCCEEDED", None, 2),
    "exit_143": ([failed(143), GOOD], "SUCCEEDED", None, 2),
    "exit_134": ([failed(134), GOOD], "FAILED", "JobFailed", 1),
    "spot_loss_in_good_order": ([failed(75, "SpotInterruption", "Your Spot Task was interrupted."), GOOD], "SUCCEEDED", None, 2),
    "spot_loss_killed": ([failed(137, "SpotInterruption", "Your Spot Task was interrupted."), GOOD], "SUCCEEDED", None, 2),
    "lost_host": ([failed(None, "ServiceSchedulerInitiated", "Task was lost with its host"), GOOD], "SUCCEEDED", None, 2),
    "failed_start": ([failed(None, "TaskFailedToStart", "CannotPullContainerError: i/o timeout"), GOOD], "SUCCEEDED", None, 2),
    "failed_start_for_ever": ([failed(None, "TaskFailedToStart", "ResourceInitializationError")] * (STARTS_MAX + 5), "FAILED", "GaveUp", STARTS_MAX),
    "no_capacity": ([NO_CAPACITY, refused("AmazonECS.Unknown", '{"Failures":[{"Reason":"RESOURCE:CPU"}]}'), GOOD], "SUCCEEDED", None, 3),
    "cause_in_words": ([refused("States.TaskFailed", "Service is unavailable"), GOOD], "SUCCEEDED", None, 2),
    "took_too_long": ([refused("States.Timeout", ""), GOOD], "SUCCEEDED", None, 2),
    "no_permission": ([refused("ECS.AccessDeniedException", "not authorized to perform: iam:PassRole"), GOOD], "FAILED", "JobFailed", 1),
    "no_cluster": ([refused("ECS.ClusterNotFoundException", "Cluster not found."), GOOD], "FAILED", "JobFailed", 1),
}


def mocks(machine: str) -> dict:
    """The same for the executor, in the format of Step Functions Local."""
    return {
        "StateMachines": {machine: {"TestCases": {case: {"Run": case} for case in CASES}}},
        "MockedResponses": {case: {str(n): outcome for n, outcome in enumerate(outcomes)} for case, (outcomes, *_) in CASES.items()},
    }
