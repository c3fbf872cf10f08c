"""Who am I here, and what may I do with this token."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from console.api import shapes
from console.api.endpoint import Endpoint
from console.api.schema import answers
from console.models import TokenScope
from console.permissions import Act, permitted, roles_of


class Me(Endpoint):
    acts = {"GET": Act.LOOK}
    any_token = True  # what a token may do is what a token may ask

    @extend_schema(operation_id="get_me", responses=answers(shapes.MeAnswer))
    def get(self, request: Request) -> Response:
        """The caller, their roles, and the acts this token may do."""
        scope = TokenScope.objects.filter(token=request.auth).first() if request.auth else None
        acts = permitted(request.user)
        if scope is not None and scope.acts:
            acts &= set(scope.acts)
        return Response(
            {
                "name": request.user.get_username(),
                "roles": sorted(role.value for role in roles_of(request.user)),
                "acts": sorted(acts),
                "token": scope.name if scope else None,
            }
        )
