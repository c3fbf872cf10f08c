"""Sign-in, sign-out and the page about oneself: what may I do, and why not."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from console.pages.frame.contexts import MePage
from console.pages.frame.shell import SHEETS, THEME_COOKIE, THEMES, page, theme_of
from console.permissions import WORDS, Act, either, may, roles_of

A_YEAR = 365 * 24 * 3600


class SignIn(LoginView):
    """The only page, besides its own assets, for people nobody knows yet."""

    template_name = "pages/frame/sign_in.html"
    redirect_authenticated_user = True

    def get_context_data(self, **more: object) -> dict[str, object]:
        return super().get_context_data(
            **more, sheets=SHEETS, theme=theme_of(self.request), environment=settings.PASSGATE_ENVIRONMENT
        )


class SignOut(LogoutView):
    """POST only, as Django has it."""


@require_safe
def me(request: HttpRequest) -> HttpResponseBase:
    """Every act, and the answer this person would get. For anybody signed in, with or without a role."""
    if not request.user.is_authenticated:
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?next={reverse('me')}")
    acts = tuple((WORDS[act], may(request.user, act)) for act in Act)
    roles = (
        either(roles_of(request.user), "no role", ", ")
        if may(request.user, Act.LOOK).code != "permission_unknown"
        else "roles could not be looked up"
    )
    return page(request, "frame/me", MePage(request.user.get_username(), roles, acts, theme_of(request)))


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember light, dark or the system's choice in a cookie, and go back."""
    chosen = request.POST.get("theme", "")
    answer = HttpResponseRedirect(reverse("me"))
    if chosen in THEMES and chosen:
        answer.set_cookie(
            THEME_COOKIE, chosen, max_age=A_YEAR, httponly=True, samesite="Lax", secure=request.is_secure()
        )
    else:
        answer.delete_cookie(THEME_COOKIE, samesite="Lax")
    return answer
