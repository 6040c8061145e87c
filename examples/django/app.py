"""A Django app of one file that edits tools and asks for releases in `transaction.atomic`.

python app.py runserver
"""

import json
import os
import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from psycopg.conninfo import conninfo_to_dict

database = conninfo_to_dict(os.environ["DATABASE_URL"])
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ["SECRET_KEY"],
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": database.get("host", ""),
            "PORT": database.get("port", ""),
            "USER": database.get("user", ""),
            "PASSWORD": database.get("password", ""),
            "NAME": database["dbname"],
        }
    },
    RELEASE_WORKER={"BROKER_URL": os.environ["BROKER_URL"]},
)
django.setup()

from release_worker.django import DjangoReleaseClient  # noqa: E402, it reads the settings
from release_worker.errors import ReleaseWorkerError, ResultTimeout, ToolsetNotFound  # noqa: E402

releases = DjangoReleaseClient.from_settings()


def rename(request: HttpRequest, toolset: str) -> JsonResponse:
    """Rename a toolset and release it: both happen, or neither."""
    name = json.loads(request.body)["name"]
    try:
        with transaction.atomic():
            shown = releases.show_toolset(toolset)
            with connection.cursor() as cursor:
                cursor.execute("UPDATE toolsets SET name = %s WHERE id = %s", [name, shown.id])
            handle = releases.create_release(toolset, actor="django")
    except ToolsetNotFound as error:
        return JsonResponse({"error": str(error)}, status=404)
    return JsonResponse({"request": handle.id}, status=202)


def outcome(_request: HttpRequest, request_id: str) -> JsonResponse:
    """How a request ended, or how far it is."""
    try:
        result = releases.handle(request_id).result(timeout=10)
    except ResultTimeout as error:
        return JsonResponse({"status": error.details["status"]})
    except ReleaseWorkerError as error:
        return JsonResponse({"status": "failed", "error": type(error).__name__, "message": str(error)})
    return JsonResponse({"status": "succeeded", "result": result.model_dump(mode="json")})


urlpatterns = [path("toolsets/<path:toolset>", rename), path("requests/<str:request_id>", outcome)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
