"""A scrape of /_synapse/metrics, read by Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families

import requests


class Scrape:
    def __init__(self, base, path="/_synapse/metrics"):
        self.text = requests.get(base + path, timeout=20).text
        self.families = {f.name: f for f in text_string_to_metric_families(self.text)}
        self.samples = [s for f in self.families.values() for s in f.samples]

    def value(self, metric, /, **labels):
        """The one series with these labels; 0 when there is none yet."""
        found = [s.value for s in self.samples if s.name == metric and all(s.labels.get(k) == v for k, v in labels.items())]
        assert len(found) <= 1, f"{metric} {labels}: {len(found)} series"
        return found[0] if found else 0

    def by(self, name, label):
        return {s.labels[label]: s.value for s in self.samples if s.name == name}
