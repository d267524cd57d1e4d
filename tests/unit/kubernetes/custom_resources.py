"""Models of the custom resources that config/kubernetes uses.

KEDA 2.20, https://keda.sh/docs/2.20/reference/scaledobject-spec/; Prometheus Operator,
https://prometheus-operator.dev/docs/api-reference/api/. A field that is not listed is refused.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Strict(BaseModel):
    """A section without unknown fields."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)


class Metadata(Strict):
    """The metadata of any object."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)
    labels: dict[str, str]


class Target(Strict):
    """The target of the scaling."""

    api_version: str
    kind: str
    name: str


class ScalingPolicy(Strict):
    """A policy of a HorizontalPodAutoscaler."""

    type: Literal["Pods", "Percent"]
    value: int = Field(gt=0)
    period_seconds: int = Field(gt=0, le=1800)


class ScalingRules(Strict):
    """The rules for one direction."""

    stabilization_window_seconds: int = Field(ge=0, le=3600)
    select_policy: Literal["Max", "Min", "Disabled"]
    policies: list[ScalingPolicy]


class Behavior(Strict):
    """The rules for both directions."""

    scale_up: ScalingRules
    scale_down: ScalingRules


class AutoscalerConfig(Strict):
    """KEDA's settings of the HorizontalPodAutoscaler."""

    behavior: Behavior


class Advanced(Strict):
    """The section `advanced`."""

    horizontal_pod_autoscaler_config: AutoscalerConfig


class Fallback(Strict):
    """The replicas while a trigger fails; for the metric type AverageValue only."""

    failure_threshold: int = Field(ge=0)
    replicas: int = Field(ge=0)
    behavior: Literal["static", "currentReplicas", "currentReplicasIfHigher"]


class PrometheusQuery(Strict):
    """The metadata of a Prometheus trigger, all of them strings."""

    server_address: str = Field(pattern=r"^https?://")
    query: str
    threshold: str = Field(pattern=r"^\d+(\.\d+)?$")
    ignore_null_values: Literal["true", "false"]


class Trigger(Strict):
    """A Prometheus trigger."""

    name: str
    type: Literal["prometheus"]
    metric_type: Literal["AverageValue", "Value"]
    metadata: PrometheusQuery


class ScaledObjectSpec(Strict):
    """The spec of a ScaledObject."""

    scale_target_ref: Target
    min_replica_count: int = Field(ge=0)
    max_replica_count: int = Field(gt=0)
    polling_interval: int = Field(gt=0)
    fallback: Fallback
    advanced: Advanced
    triggers: list[Trigger] = Field(min_length=1)


class ScaledObject(Strict):
    """KEDA's ScaledObject."""

    api_version: Literal["keda.sh/v1alpha1"]
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: ScaledObjectSpec


class SecretKey(Strict):
    """A key of a secret."""

    name: str
    key: str


class Authority(Strict):
    """The location of the certificate authority's certificate."""

    secret: SecretKey


class TlsConfig(Strict):
    """Prometheus' verification of the certificate."""

    ca: Authority
    server_name: str


class Authorization(Strict):
    """The bearer token."""

    credentials: SecretKey


class PodMetricsEndpoint(Strict):
    """The address of a pod's metrics."""

    port: str
    path: str
    scheme: Literal["http", "https"]
    interval: str = Field(pattern=r"^\d+s$")
    authorization: Authorization
    tls_config: TlsConfig


class LabelSelector(Strict):
    """A selector of pods."""

    match_labels: dict[str, str] = Field(min_length=1)


class PodMonitorSpec(Strict):
    """The spec of a PodMonitor."""

    job_label: str
    pod_target_labels: list[str]
    selector: LabelSelector
    pod_metrics_endpoints: list[PodMetricsEndpoint]


class PodMonitor(Strict):
    """The Prometheus Operator's PodMonitor."""

    api_version: Literal["monitoring.coreos.com/v1"]
    kind: Literal["PodMonitor"]
    metadata: Metadata
    spec: PodMonitorSpec


CUSTOM_RESOURCES: dict[str, type[Strict]] = {"ScaledObject": ScaledObject, "PodMonitor": PodMonitor}
