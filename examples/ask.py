"""Serves a model that was tuned and asks it with the official client, as any program would.

    python examples/ask.py runs/chat "春天适合种什么菜？" "请再说一种。"

The questions are one dialogue; what the model answers goes to stdout. The server takes a free port of this machine and
ends with this program.
"""

import json
import subprocess
import sys
import tempfile

from openai import APIError, OpenAI


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    run, *questions = sys.argv[1:]
    words = [sys.executable, "-m", "train", "serve", run, "--port", "0", "--json", "-q"]
    # What the server tells is shown if it does not start; that it is told to end, in the end, is no news.
    with (
        tempfile.TemporaryFile("w+") as told,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=told, text=True) as server,
    ):
        assert server.stdout is not None
        line = server.stdout.readline()
        if not line:
            code = server.wait()
            told.seek(0)
            print(told.read(), end="", file=sys.stderr)
            return code
        ready = json.loads(line)
        client = OpenAI(base_url=f"{ready['url'].rstrip('/')}/v1", api_key="none", max_retries=0)
        said: list[dict[str, str]] = []
        try:
            for question in questions:
                said.append({"role": "user", "content": question})
                print(f"问：{question}\n答：", end="", flush=True)
                parts = client.chat.completions.create(
                    model=ready["model"], messages=said, stream=True, max_tokens=64, temperature=0.3, seed=1
                )
                answer = ""
                for part in parts:
                    text = part.choices[0].delta.content if part.choices else None
                    answer += text or ""
                    print(text or "", end="", flush=True)
                print()
                said.append({"role": "assistant", "content": answer})
        except APIError as error:  # a base model has no chat template, for example
            print(f"\n{error.message}", file=sys.stderr)
            return 5
        finally:
            server.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
