# What the GitHub workflows run, step by step; each target does the same on any machine.
#   DATA, MODELS and DIST are folders; IMAGE is the name that the image gets.
DATA ?= data
MODELS ?= models
DIST ?= dist
DAYS ?= 180
IMAGE ?= nexova:local

.PHONY: data train wheel image image-push sbom artefacts models-fetch contracts-release release release-publish test-api test-kafka test-console
.PHONY: validate-models validate-endpoints validation-report registry-commit lint-workflows

data: $(RUN) ## generate DAYS of labelled history into DATA
	@$(BIN)/nexova data generate --out "$(DATA)" --days $(DAYS) --overwrite

train: $(RUN) ## train all models on DATA and publish them into MODELS
	@$(BIN)/nexova train all --data "$(DATA)" --models "$(MODELS)" --no-announce

wheel: $(RUN) ## build the wheel into DIST
	@rm -f "$(DIST)"/*.whl
	@$(BIN)/hatchling build --target wheel --directory "$(DIST)"

image: ## build the container image IMAGE (needs Docker)
	@command -v docker >/dev/null || { echo "make image needs Docker, which is not here; install it" >&2; exit 1; }
	@docker build --tag "$(IMAGE)" .

image-push: image ## push IMAGE to its registry, as REGISTRY_USER with REGISTRY_TOKEN where these are set
	@[ -z "$${REGISTRY_TOKEN:-}" ] || docker login --username "$$REGISTRY_USER" --password-stdin \
		"$(firstword $(subst /, ,$(IMAGE)))" <<< "$$REGISTRY_TOKEN"
	@docker push "$(IMAGE)"

sbom: setup ## list what the release is made of as CycloneDX, into DIST
	@mkdir -p "$(DIST)"
	@$(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-format JSON --output-file "$(DIST)/nexova.cdx.json"

models-fetch: ## fetch MODELS from the newest ml-pipeline of main; before the first, or without GH_TOKEN, make them
	@run=""; [ -z "$${GH_TOKEN:-}" ] || run=$$(gh run list --workflow ml-pipeline.yml --branch main --status success \
		--limit 1 --json databaseId --jq '.[].databaseId'); \
	if [ -n "$$run" ]; then \
		gh run download "$$run" --name nexova-models --dir "$(DIST)"; \
		mkdir -p "$(MODELS)"; tar --extract --file "$(DIST)/nexova-models.tar.gz" --directory "$(MODELS)"; \
	else $(MAKE) --no-print-directory data train; fi

contracts-release: ## at a release: keep its JSON Schemas, which later ones must be compatible with
	@cp docs/reference/*.json docs/released/ && rm docs/released/asyncapi.json

release: data train artefacts ## make all files of a release into DIST

release-publish: ## publish DIST as the GitHub release TAG (needs gh)
	@gh release create "$(TAG)" --verify-tag --generate-notes "$(DIST)"/*

artefacts: wheel sbom ## put wheel, parts list and models with their registry into DIST
	@tar --create --gzip --file "$(DIST)/nexova-models.tar.gz" --directory "$(MODELS)" .
	@cp "$(MODELS)/MODEL_REGISTRY.md" "$(MODELS)/metrics.json" "$(DIST)/"
	@cd "$(DIST)" && sha256sum *.whl nexova.cdx.json nexova-models.tar.gz > SHA256SUMS

test-api: setup ## run the API's tests: contract, security, limits, live view
	@$(BIN)/pytest -n $(JOBS) --dist loadscope tests/api $(ARGS)

test-kafka: setup ## run the broker's and the end-to-end tests; NEXOVA_TEST_KAFKA=docker takes Kafka from a container
	@$(BIN)/python -m cli.demo.work compile >/dev/null
	@$(BIN)/pytest -n $(JOBS) --dist loadscope tests/runtime/test_broker_contract.py tests/e2e $(ARGS)

test-console: setup ## open the console in Chromium
	@$(BIN)/pytest tests/console $(ARGS)

validate-models: $(RUN) ## verify every model that runs from MODELS: files, plant, features, quality; findings into DIST
	@$(BIN)/python -m deploy.validation models --models "$(MODELS)" --out "$(DIST)"

validate-endpoints: $(RUN) ## serve MODELS beside a processor and ask every endpoint of the API; findings into DIST
	@$(BIN)/python -m deploy.validation endpoints --models "$(MODELS)" --out "$(DIST)"

validation-report: $(RUN) ## write what the validation found into DIST, and MODEL_REGISTRY.md; fails where something is wrong
	@$(BIN)/python -m deploy.validation report --models "$(MODELS)" --out "$(DIST)" --page MODEL_REGISTRY.md

registry-commit: ## commit MODEL_REGISTRY.md if it changed, and push it where PUSH names a remote branch
	@git add MODEL_REGISTRY.md
	@git diff --cached --quiet || git commit --quiet --message "Model registry after the validation of $$(date --utc +%F)"
	@[ -z "$${GH_TOKEN:-}" ] || gh auth setup-git
	@[ -z "$(PUSH)" ] || git push --quiet origin "HEAD:$(PUSH)"

lint-workflows: setup ## look for faults and weak points in the workflows
	@$(BIN)/zizmor --offline --quiet .github/workflows
