"""The command line: `python -m backend serve`."""

import argparse

import uvicorn


def main() -> None:
    """Reads the arguments and does as they say."""
    parser = argparse.ArgumentParser(prog="python -m backend")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    uvicorn.run("backend.app:app", host=arguments.host, port=arguments.port)


if __name__ == "__main__":
    main()
