"""The protocols that the settings ask for, as routes of the application."""

from fastapi import FastAPI

from whisker.app.protocols import huggingface, kserve, oip, sagemaker
from whisker.app.protocols.bodies import set_reading_process
from whisker.app.protocols.reading_process import ReadingProcess
from whisker.app.settings import Settings, chosen_protocols


def add_protocols(app: FastAPI, settings: Settings) -> None:
    """Serve what the settings ask for."""
    chosen = chosen_protocols(settings)
    routers = {
        "vertex": kserve.vertex_router(),  # first: its paths are not of our choosing
        "huggingface": huggingface.router,
        "oip": oip.router,
        "kserve": kserve.router,
        "sagemaker": sagemaker.router,
    }
    for name, router in routers.items():
        if name in chosen:
            app.include_router(router)
    set_reading_process(app, ReadingProcess())
