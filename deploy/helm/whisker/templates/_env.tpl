{{- /* A JSON number, since a template writes 50000000 as 5e+07. */ -}}
{{- define "whisker.text" -}}
{{- if kindIs "string" . }}{{ . | quote }}{{ else }}{{ toJson . | quote }}{{ end -}}
{{- end -}}

{{- define "whisker.env" -}}
- name: WHISKER_PORT
  value: "8000"
{{- if include "whisker.hasModels" . }}
{{- if hasSuffix ".safetensors" .Values.models.path }}
- name: WHISKER_CHECKPOINT
  value: /models/{{ .Values.models.path }}
{{- else }}
- name: WHISKER_CHECKPOINT
  value: ""
- name: WHISKER_MODELS
  value: {{ list "/models" .Values.models.path | compact | join "/" }}
{{- end }}
{{- end }}
{{- include "whisker.apiKey" . }}
{{- if .Values.review.claim }}
- name: WHISKER_REVIEW
  value: /review
{{- end }}
{{- if .Values.corrections.claim }}
- name: WHISKER_CORRECTIONS
  value: /corrections
{{- end }}
{{- if and .Values.gpu.enabled (not (hasKey .Values.settings "device")) }}
- name: WHISKER_DEVICE
  value: cuda
{{- end }}
{{- $resources := .Values.resources }}
{{- if and (dig "requests" "cpu" "" $resources) (not (or (dig "limits" "cpu" "" $resources) (hasKey .Values.settings "inference_workers"))) }}
- name: WHISKER_INFERENCE_WORKERS
  valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: "1"}}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: WHISKER_{{ upper $name }}
  value: {{ include "whisker.text" $value }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}
