"""Drives python-socketio as client.mjs drives socket.io-client: one command a line
on standard input, one line for everything that happens on standard output. It has
the commands connect, subscribe, unsubscribe, ping and emit. Each handler has one
parameter, as in the samples of that library. The clients are asynchronous: those of
the other kind run each handler in a thread of its own, in any order."""

import asyncio
import json
import os
import sys

import socketio

EVENTS = [
    "novel.subscribed",
    "novel.unsubscribed",
    "novel.generation-event",
    "novel.domain-event",
    "novel.job-status",
    "novel.caught-up",
    "novel.gap",
    "novel.error",
    "pong",
]

clients = {}


def report(client, event, *args):
    print(json.dumps({"client": client, "event": event, "args": args}), flush=True)


async def connect(command):
    client, options = command["client"], command.get("options", {})
    sio = socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.2, randomization_factor=0)
    clients[client] = sio

    def listen(event):
        def handler(payload):
            report(client, event, payload)

        sio.on(event, handler)

    for event in EVENTS:
        listen(event)
    sio.on("connect", lambda: report(client, "connect", {"id": sio.get_sid()}))
    sio.on("disconnect", lambda: report(client, "disconnect"))
    await sio.connect(command["url"], socketio_path="ws", transports=options.get("transports"), wait_timeout=30)


async def emit(command, event, *args):
    acknowledged = None
    if command.get("ack"):

        def acknowledged(answer):
            report(command["client"], "ack", answer)

    await clients[command["client"]].emit(event, *args, callback=acknowledged)


def request(command):
    return {key: command[key] for key in ("jobId", "since") if key in command}


OPERATIONS = {
    "connect": connect,
    "subscribe": lambda command: emit(command, "subscribe", request(command)),
    "unsubscribe": lambda command: emit(command, "unsubscribe", request(command)),
    "ping": lambda command: emit(command, "ping"),
    "emit": lambda command: emit(command, command["event"], *command.get("args", [])),
}


async def main():
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        await OPERATIONS[command["op"]](command)
    os._exit(0)  # a client that is connecting again cannot be told to stop


asyncio.run(main())
