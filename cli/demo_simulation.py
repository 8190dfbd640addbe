import json, threading, time
from datetime import UTC, datetime
import numpy as np
from confluent_kafka import Producer
from producer.fleet import Fleet
from producer.faults import InjectedFault, FAULT_KINDS, sensors_of
from producer.physics import quantities
from runtime.kafka import producer_config
from schemas.topics import READINGS


class Simulation:
    def __init__(self, plant, kafka, *, machines, seed, days, interval=1.0):
        self.plant = plant
        self.interval = interval
        self.now = float(int(time.time() // 60) * 60)
        self.epoch = self.now - days * 86400
        self.fleet = Fleet(
            plant=plant,
            machines=machines,
            seed=seed,
            epoch=self.epoch,
            interval_seconds=plant.interval_seconds,
            least_days=days + 1,
            running_from=self.now - 6 * 3600,
        )
        self.kafka = kafka
        self.delivered = 0
        self.failed = 0
        self.producer = Producer(producer_config(kafka) | {"linger.ms": 2})
        self.faults = ()
        self._stop = threading.Event()
        self.error = None
        self.backfilled = 0

    def _done(self, err, msg):
        if err is None:
            self.delivered += 1
        else:
            self.failed += 1

    def _send(self, seconds, observed):
        ids = self.fleet.machine_ids
        names = self.plant.sensor_names
        for t, row in zip(seconds.tolist(), observed.values):
            ts = datetime.fromtimestamp(t, UTC).isoformat()
            for m, v in zip(ids, row.tolist()):
                d = {"machine_id": m, "timestamp": ts}
                d.update({n: x for n, x in zip(names, v) if x == x})
                while True:
                    try:
                        self.producer.produce(READINGS, json.dumps(d).encode(), m.encode(), on_delivery=self._done)
                        break
                    except BufferError:
                        self.producer.poll(0.1)
            self.producer.poll(0)

    def backfill(self):
        step = self.plant.interval_seconds
        seconds = np.arange(self.epoch + 60, self.now + 1, step)
        self._send(seconds, self.fleet.observe(seconds))
        self.producer.flush(30)
        self.backfilled = self.delivered

    def send_bad(self, value):
        self.producer.produce(READINGS, value, b"bad", on_delivery=self._done)

    def start(self, duration):
        self.live_from = time.time() + 0.5
        dur = duration or 3600
        ids = self.fleet.machine_ids
        qs = quantities(self.plant)
        faults = []
        t = self.live_from + 4
        k = 0
        kinds = ["overheat", "imbalance", "stuck", "drift", "dropout", "dip"]
        while t + 14 < self.live_from + dur:
            kind = kinds[k % len(kinds)]
            m = ids[(k * 3 + 1) % len(ids)]
            L = 12
            faults.append(
                InjectedFault(
                    machine_id=m,
                    kind=kind,
                    start=t,
                    end=t + L,
                    sensors=sensors_of(kind, chance=0.5, names=self.plant.sensor_names, quantities=qs),
                    strength=0.5,
                )
            )
            t += 8
            k += 1
        self.faults = tuple(faults)
        self.thread = threading.Thread(target=self._live, daemon=True)
        self.thread.start()

    def _live(self):
        try:
            k = 0
            while not self._stop.is_set():
                t = self.live_from + k * self.interval
                d = t - time.time()
                if d > 0:
                    self._stop.wait(d)
                if self._stop.is_set():
                    break
                s = np.array([round(t, 3)])
                self._send(s, self.fleet.observe(s, scripted=self.faults))
                k += 1
        except Exception as e:
            self.error = e

    def stop(self):
        self._stop.set()
        self.thread.join(5)
        self.producer.flush(15)
