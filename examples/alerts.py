"""Prints every alert as it changes: `python alerts.py [BROKERS] [GROUP]`; stops after Ctrl-C."""

import json
import sys

from confluent_kafka import Consumer

brokers, group = (*sys.argv[1:], *("127.0.0.1:9092", "my-alerts")[len(sys.argv) - 1 :])
settings = {"bootstrap.servers": brokers, "group.id": group, "auto.offset.reset": "earliest"}
consumer = Consumer(settings | {"enable.auto.commit": False})
consumer.subscribe(["nexova.alerts"])
try:
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error() or message.value() is None:
            continue
        alert = json.loads(message.value())
        print(alert["updated_at"], alert["severity"], alert["state"], alert["summary"], flush=True)
        consumer.commit(message)  # after the work: a crash repeats it, nothing is lost
except KeyboardInterrupt:
    consumer.close()
