#!/usr/bin/env python3
"""A small bot, written with matrix-nio as its author would: greets who invites it and answers commands.

    bot.py --homeserver http://localhost:8008 --user bot --password-file secret.txt

!help      what it can do
!thread    answers in a thread
!react     reacts to the command
!edit      says something, then corrects it
!oops      says something, then takes it back
!quit      leaves
"""

import argparse
import asyncio
import json
import sys

from nio import (
    AsyncClient,
    InviteMemberEvent,
    JoinError,
    LoginError,
    RoomMessageText,
    RoomSendError,
    SyncError,
)

HELP = "I know !help, !thread, !react, !edit, !oops and !quit."


class Bot:
    def __init__(self, client):
        self.client = client
        self.started = asyncio.Event()
        self.done = asyncio.Event()

    async def say(self, room, body, **extra):
        answer = await self.client.room_send(room, "m.room.message", {"msgtype": "m.notice", "body": body, **extra})
        if isinstance(answer, RoomSendError):
            raise RuntimeError(f"could not speak: {answer}")
        return answer.event_id

    async def on_invite(self, room, event):
        if event.membership == "invite" and event.state_key == self.client.user_id:
            answer = await self.client.join(room.room_id)
            if isinstance(answer, JoinError):
                raise RuntimeError(f"could not join: {answer}")
            await self.say(room.room_id, f"Thank you for having me. {HELP}")

    async def on_message(self, room, event):
        if event.sender == self.client.user_id or not event.body.startswith("!"):
            return
        command = event.body.split()[0][1:]
        action = getattr(self, f"do_{command}", None)
        await self.client.room_typing(room.room_id, True, 5000)
        try:
            if action:
                await action(room.room_id, event)
            else:
                await self.say(room.room_id, f"I do not know !{command}. {HELP}")
        finally:
            await self.client.room_typing(room.room_id, False)
            await self.client.room_read_markers(room.room_id, event.event_id, event.event_id)

    async def do_help(self, room, event):
        await self.say(room, HELP, **{"m.relates_to": {"m.in_reply_to": {"event_id": event.event_id}}})

    async def do_thread(self, room, event):
        relation = {
            "rel_type": "m.thread",
            "event_id": event.event_id,
            "is_falling_back": True,
            "m.in_reply_to": {"event_id": event.event_id},
        }
        await self.say(room, "Let us talk here.", **{"m.relates_to": relation})

    async def do_react(self, room, event):
        relation = {"rel_type": "m.annotation", "event_id": event.event_id, "key": "👍"}
        await self.client.room_send(room, "m.reaction", {"m.relates_to": relation})

    async def do_edit(self, room, event):
        first = await self.say(room, "It is five to twelve.")
        relation = {"rel_type": "m.replace", "event_id": first}
        corrected = "It is noon."
        await self.say(
            room, f"* {corrected}", **{"m.new_content": {"msgtype": "m.notice", "body": corrected}, "m.relates_to": relation}
        )

    async def do_oops(self, room, event):
        wrong = await self.say(room, "The password is swordfish.")
        await self.client.room_redact(room, wrong, reason="said too much")

    async def do_quit(self, room, event):
        await self.say(room, "Goodbye.")
        await self.client.room_leave(room)
        self.done.set()

    async def run(self):
        self.client.add_event_callback(self.on_invite, InviteMemberEvent)
        first = await self.client.sync(timeout=0, full_state=True)
        if isinstance(first, SyncError):
            raise RuntimeError(f"could not sync: {first}")
        # What was said before the bot was started is not for it.
        self.client.add_event_callback(self.on_message, RoomMessageText)
        self.started.set()
        print(json.dumps({"ready": self.client.user_id}), flush=True)
        forever = asyncio.create_task(self.client.sync_forever(timeout=30000))
        stop = asyncio.create_task(self.done.wait())
        finished, _ = await asyncio.wait({forever, stop}, return_when=asyncio.FIRST_COMPLETED)
        if forever in finished:
            forever.result()
        forever.cancel()


async def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--homeserver", required=True)
    args.add_argument("--user", required=True, help="localpart or full user id")
    args.add_argument("--device", default="BOT")
    secret = args.add_mutually_exclusive_group(required=True)
    secret.add_argument("--password-file")
    secret.add_argument("--token-file", help="an access token from an earlier login")
    args.add_argument("--save-token", help="write the access token here after a login by password")
    opts = args.parse_args()

    client = AsyncClient(opts.homeserver, opts.user, device_id=opts.device)
    try:
        if opts.token_file:
            with open(opts.token_file) as f:
                client.access_token = f.read().strip()
            who = await client.whoami()
            client.restore_login(who.user_id, who.device_id, client.access_token)
        else:
            with open(opts.password_file) as f:
                answer = await client.login(f.read().strip(), device_name="bot")
            if isinstance(answer, LoginError):
                sys.exit(f"could not log in: {answer}")
            if opts.save_token:
                with open(opts.save_token, "w") as f:
                    f.write(client.access_token)
        await Bot(client).run()
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(main())
