import os
from collections import OrderedDict
from typing import Literal

import uvicorn
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from pydantic import BaseModel
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Signal(BaseModel):
    domain: str
    type: str
    confidence: float
    weight: float


class Payload(BaseModel):
    """What armorhooks sends with the format "json"; ``event`` is "test" for the API's test request."""

    event: Literal["red_tier", "yellow_tier", "green_tier", "test"]
    tier: Literal["red", "yellow", "green"]
    action: Literal["allow", "flag", "block"]
    risk_score: float
    signals: list[Signal]
    latency_ms: float
    timestamp: str


app = FastAPI()
# As the API returned it when the webhook was made.
webhook = Webhook(os.environ["WEBHOOK_SECRET"])

# A receiver with a database has a table whose key is the id, and inserts into it before it answers.
REMEMBERED = 100_000
seen: OrderedDict[str, None] = OrderedDict()


def handle(payload: Payload) -> None:
    print("handled", payload.model_dump_json(), flush=True)


@app.post("/hook", status_code=204)
async def hook(request: Request, tasks: BackgroundTasks) -> None:
    # The raw body, as it is what was signed: parsed and written again it would be another one.
    body = await request.body()
    try:
        webhook.verify(body, dict(request.headers))
    except WebhookVerificationError:
        raise HTTPException(401, "the signature is not valid") from None
    id = request.headers["webhook-id"]
    if id in seen:
        return
    seen[id] = None
    if len(seen) > REMEMBERED:
        seen.popitem(last=False)
    # After the answer: the daemon waits for that, and takes more than 10 s for a failure.
    tasks.add_task(handle, Payload.model_validate_json(body))


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "9000")), log_level="warning")
