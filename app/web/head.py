"""HEAD, answered as GET without a body (RFC 9110, section 9.3.2), whatever the route."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    """Let routes take a HEAD for a GET, and send the head of their answer alone."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
            elif not message.get("more_body", False):
                await send({"type": "http.response.body"})

        inner = {**scope, "method": "GET"}  # the server goes by its own
        try:
            await self.app(inner, receive, send_head)
        finally:
            scope.update({**inner, "method": "HEAD"})  # such as the route, which is counted
