"""Every path of the console, as CONSOLE.md lists them. Names are what templates and console/pages/paths.py use."""

from __future__ import annotations

from django.urls import path

from console.pages import patterns, session

handler400 = "console.pages.problems.bad_request"
handler403 = "console.pages.problems.not_permitted"
handler404 = "console.pages.problems.not_found"
handler500 = "console.pages.problems.broken"

urlpatterns = [
    path("sign-in/", session.SignIn.as_view(), name="sign-in"),
    path("sign-out/", session.SignOut.as_view(), name="sign-out"),
    path("me/", session.me, name="me"),
    path("me/theme", session.theme, name="theme"),
    path("patterns/", patterns.patterns, name="patterns"),
]
for name in ("now", "find", "runs", "quarantine", "unknown", "lanes", "streams"):
    urlpatterns.append(path(name + "/", patterns.patterns, name=name))
