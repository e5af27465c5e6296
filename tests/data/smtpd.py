"""A mail server nobody here wrote (aiosmtpd), over implicit TLS and STARTTLS, both with a login.

usage: smtpd.py CERT KEY; prints one line {"implicit": PORT, "starttls": PORT}, then one JSON line per mail,
as Python's email package reads it.
"""
import asyncio, json, ssl, sys
from email import policy
from email.parser import BytesParser
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = BytesParser(policy=policy.default).parsebytes(envelope.content)
        parts = {p.get_content_type(): p.get_content() for p in mail.walk() if not p.is_multipart()}
        encodings = [p["Content-Transfer-Encoding"] for p in mail.walk() if not p.is_multipart()]
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "headers": [[k, str(v)] for k, v in mail.items()],
            "parts": parts, "encodings": encodings, "defects": [repr(d) for p in mail.walk() for d in p.defects],
            "longest": max(len(l) for l in envelope.content.split(b"\r\n")),
            "bare": envelope.content.replace(b"\r\n", b"").count(b"\n") + envelope.content.replace(b"\r\n", b"").count(b"\r"),
        }), flush=True)
        return "250 taken"


def login(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"alerts", b"canary-password-7")
    return AuthResult(success=right, handled=False)


async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[1], sys.argv[2])
    loop = asyncio.get_running_loop()
    common = dict(authenticator=login, auth_required=True, hostname="mail.test")
    implicit = await loop.create_server(
        lambda: SMTP(Handler(), auth_require_tls=False, **common), "127.0.0.1", 0, ssl=tls)
    starttls = await loop.create_server(
        lambda: SMTP(Handler(), tls_context=tls, require_starttls=True, **common), "127.0.0.1", 0)
    port = lambda server: server.sockets[0].getsockname()[1]
    print(json.dumps({"implicit": port(implicit), "starttls": port(starttls)}), flush=True)
    # Ends with the test that started it: its end of the pipe is closed then.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
