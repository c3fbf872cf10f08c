"""The API where the console mounts it, without the pages."""

from django.urls import include, path

urlpatterns = [path("api/v1/", include("console.api.urls"))]
