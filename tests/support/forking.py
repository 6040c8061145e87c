"""A program that uses a client, forks, and goes on using it, as an app server does that loads the app before it forks.

`python -m tests.support.forking PATH…`: the first toolset is the parent's, each other that of a child. All of them ask
and wait at once. Prints `{path: [[toolset_id, release_number], …]}`, after what the parent did before it forked.
"""

import json
import os
import sys
import threading

from release_worker import ReleaseClient, RequestHandle
from release_worker.domain.requests.create_release import CreateReleaseResult

ROUNDS = 6
WITHIN = 20.0  # seconds; a program that takes longer hangs


def main(parents: str, *childrens: str) -> None:
    client = ReleaseClient.from_env()
    known = client.create_release(parents, actor="parent")
    known.result(WITHIN)
    pipes = {path: fork(client, path, known) for path in childrens}
    answers = {parents: [*answer(known), *ask(client, parents)]}
    for path, pipe in pipes.items():
        with os.fdopen(pipe) as said:
            answers[path] = json.load(said)
    for _ in childrens:
        os.wait()
    answers[parents] += ask(client, parents)  # after the children have ended, and closed what they had
    client.close()
    print(json.dumps(answers))


def fork(client: ReleaseClient, path: str, known: "RequestHandle[CreateReleaseResult]") -> int:
    """Start a child that reads a result of before, and asks; what it learnt can be read from the file returned."""
    receiving, sending = os.pipe()
    if os.fork():
        os.close(sending)
        return receiving
    os.close(receiving)
    with os.fdopen(sending, "w") as told:
        json.dump([*answer(known), *in_threads(client, path), *ask(client, path)], told)
    client.close()
    sys.exit()


def in_threads(client: ReleaseClient, path: str) -> list[tuple[str, int]]:
    """As `ask`, by two threads that both find that they are in a new process."""
    answers: list[tuple[str, int]] = []
    threads = [threading.Thread(target=lambda: answers.extend(ask(client, path))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def ask(client: ReleaseClient, path: str) -> list[tuple[str, int]]:
    """Some releases, one after the other."""
    made = [client.create_release(path, actor="tester") for _ in range(ROUNDS)]
    return [told for handle in made for told in answer(handle)]


def answer(handle: "RequestHandle[CreateReleaseResult]") -> list[tuple[str, int]]:
    result = handle.result(WITHIN)
    return [(str(result.toolset_id), result.release_number)]


if __name__ == "__main__":
    main(*sys.argv[1:])
