"""The deployments of prefect.yaml by the names of their flows."""

from deployments.spec import deployment_specs

SPECS = {spec.name: spec for spec in deployment_specs()}
