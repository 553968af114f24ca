{{- /* What no schema says: values that contradict each other. */ -}}
{{- define "whisker.checks" -}}
{{- $volumes := compact (list .Values.models.claim .Values.models.imageVolume (ternary "init" "" (not (empty .Values.models.init)))) -}}
{{- if gt (len $volumes) 1 -}}
{{- fail "Set one of models.claim, models.imageVolume and models.init: models come from one volume." -}}
{{- end -}}
{{- if and .Values.models.path (not $volumes) -}}
{{- fail "models.path is a path in a volume: set models.claim, models.imageVolume or models.init, too." -}}
{{- end -}}
{{- if and $volumes (not (hasSuffix ".safetensors" .Values.models.path)) -}}
{{- range list "checkpoint_sha256" "more_checkpoints" -}}
{{- if hasKey $.Values.settings . -}}
{{- fail (printf "settings.%s is about single checkpoints, and models.path names a folder of models: give one of them." .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.review.claim (not .Values.apiKey.secret) -}}
{{- fail "review.claim keeps people's photos, and needs an API key: set apiKey.secret." -}}
{{- end -}}
{{- if and .Values.review.claim (eq .Values.review.claim .Values.corrections.claim) -}}
{{- fail "review.claim and corrections.claim must differ: neither folder may lie in the other." -}}
{{- end -}}
{{- if include "whisker.keepsUploads" . -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) -}}
{{- fail "review.claim and corrections.claim belong to one pod: set replicas to 1, and leave autoscaling off." -}}
{{- end -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- if not (or .Values.autoscaling.queueDepth .Values.autoscaling.cpuPercent) -}}
{{- fail "Autoscaling needs a metric: set autoscaling.queueDepth, autoscaling.cpuPercent, or both." -}}
{{- end -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas." -}}
{{- end -}}
{{- if and .Values.autoscaling.cpuPercent (not (dig "requests" "cpu" "" .Values.resources)) -}}
{{- fail "autoscaling.cpuPercent is a share of resources.requests.cpu: set that, too." -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "Set ingress.host: the name under which the service is reached." -}}
{{- end -}}
{{- end -}}
