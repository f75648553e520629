"""The forms that keys and tokens have by themselves, as a table: kind → patterns in RE2's syntax.

A pattern here needs no word beside it; what is a secret only because of the word before it ("password = …") is judged
in `parammem.validation.secrets`. Sources: the documentation of the services, and the public rule sets of gitleaks and
detect-secrets. RE2 takes linear time whatever the pattern, so they need no care for backtracking.
"""

from __future__ import annotations

_HEX = "[0-9a-fA-F]"
_UUID = rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"

CLOUDS: dict[str, tuple[str, ...]] = {
    "AWS Access Key": (r"\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b", rf"\bamzn\.mws\.{_UUID}"),
    "AWS Bedrock key": (r"\bABSK[A-Za-z0-9+/]{60,}",),
    "signed cloud address": (
        r"\bX-(?:Amz|Goog)-Signature=[0-9a-f]{32,}",
        r"(?i)[?&]sig=[A-Za-z0-9%+/=_-]{30,}",  # Azure's shared access signature
    ),
    "Azure key": (
        r"(?i)\b(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{30,}",
        r"\b[\w~.-]{3}[78]Q~[\w~.-]{31,34}",  # client secret of Entra ID
        r"\b[A-Za-z0-9]{52,}(?:AAAAAC|JQQJ99)[A-Za-z0-9]{6,}",
    ),
    "Google key": (r"\bAIza[\w-]{30,}", r"\bGOCSPX-[\w-]{20,}", r"\bya29\.[\w-]{20,}", r"\b1//0[\w-]{30,}"),
    "Alibaba Cloud key": (r"\bLTAI[A-Za-z0-9]{12,24}\b",),
    "Tencent Cloud key": (r"\bAKID[A-Za-z0-9]{28,40}\b",),
    "Yandex Cloud key": (r"\bAQVN[\w-]{30,}", r"\bt1\.[\w-]{4,}=*\.[\w-]{60,}", r"\by[03]_[\w-]{36,}"),
    "DigitalOcean token": (r"\bdo[opr]_v1_[0-9a-f]{32,}",),
    "Databricks token": (r"\bd(?:api|kea|ose)[0-9a-f]{32}(?:-\d)?\b",),
    "Cloudflare token": (r"\bv1\.0-[0-9a-f]{24}-[0-9a-f]{100,}",),
    "Heroku key": (r"\bHRKU-[\w-]{30,}",),
    "Fly.io token": (r"\bfo1_[\w-]{40,}", r"\bfm[12][ar]?_[A-Za-z0-9+/=]{60,}"),
    "Netlify token": (r"\bnf[pcosu]_[A-Za-z0-9]{36,}",),
    "Render key": (r"\brnd_[A-Za-z0-9]{28,}",),
    "Vercel token": (r"\bvc[aikprv]_[A-Za-z0-9]{24,}",),
    "Supabase key": (r"\bsbp_[0-9a-f]{40}", r"\bsb_secret_[\w-]{20,}"),
    "PlanetScale key": (r"\bpscale_(?:tkn|oauth|pw)_[\w.-]{30,}",),
    "Neon key": (r"\bnapi_[a-z0-9]{40,}",),
    "Tailscale key": (r"\btskey-[a-z]+-[\w-]{10,}",),
    "Pulumi token": (r"\bpul-[0-9a-f]{40}\b",),
    "Terraform token": (r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{40,}",),
    "Vault token": (r"\bhv[sbr]\.[\w-]{24,}",),
    "Doppler token": (r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{20,}",),
    "Scaleway key": (r"\bSCW[A-Z0-9]{17}\b",),
    "Scalingo token": (r"\btk-us-[\w-]{40,}",),
    "Modal token": (r"\ba[ks]-[A-Za-z0-9]{22}\b",),
}

CODE: dict[str, tuple[str, ...]] = {
    "GitHub Token": (r"\bgh[pousr]_[A-Za-z0-9]{20,}", r"\bgithub_pat_\w{20,}"),
    "GitLab Token": (
        r"\bgl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct|wt)-[\w.-]{20,}",
        r"\bGR1348941[\w-]{20,}",
    ),
    "Bitbucket or Atlassian token": (r"\bATBB[A-Za-z0-9]{24,}", r"\bAT(?:AT|CT)T3[\w=-]{40,}"),
    "npm token": (
        r"\bnpm_[A-Za-z0-9]{30,}",
        r"(?:^|[\s:;\"'])_auth(?:Token)?[\"']?\s{0,3}=\s{0,3}[\"']?[A-Za-z0-9+/_-]{12,}",
    ),
    "Sourcegraph token": (r"\bsgp_(?:[0-9a-fA-F]{16}_|local_)?[0-9a-fA-F]{40}\b",),
    "Sonar token": (r"\bsq[apu]_[0-9a-f]{40}\b",),
    "ReadMe key": (r"\brdme_[a-z0-9]{60,}",),
    "PyPI token": (r"\bpypi-[\w-]{40,}",),
    "RubyGems key": (r"\brubygems_[0-9a-f]{40,}",),
    "Docker Hub token": (r"\bdckr_(?:pat|oat)_[\w-]{20,}",),
    "crates.io token": (r"\bcio[A-Za-z0-9]{32}\b",),
    "NuGet key": (r"\boy2[a-z0-9]{43}\b",),
    "Clojars token": (r"\bCLOJARS_[0-9a-z]{60}",),
    "Postman key": (r"\bPMAK-[0-9a-f]{24}-[0-9a-f]{20,}",),
    "Sentry token": (r"\bsntry[su]_[A-Za-z0-9+/=_-]{40,}",),
    "Grafana token": (r"\bglsa_[A-Za-z0-9]{20,}_[0-9a-f]{8}", r"\bglc_eyJ[\w+/=-]{20,}"),
    "New Relic key": (r"\bNR(?:AK|II|IQ|JS|RA)-[A-Za-z0-9-]{19,}",),
    "Dynatrace token": (r"\bdt0[a-z]\d\d\.[A-Z0-9]{24}\.[A-Z0-9]{40,}",),
    "PostHog key": (r"\bph[cx]_[A-Za-z0-9]{30,}",),
    "LaunchDarkly key": (rf"\b(?:sdk|api|mob)-{_UUID}",),
    "Prefect key": (r"\bpn[abu]_[A-Za-z0-9]{30,}",),
    "Linear key": (r"\blin_(?:api|oauth)_[A-Za-z0-9]{30,}",),
    "Notion token": (r"\bntn_[A-Za-z0-9]{36,}", r"\bsecret_[A-Za-z0-9]{43}\b"),
    "Airtable token": (r"\bpat[A-Za-z0-9]{14}\.[0-9a-f]{64}",),
    "Figma token": (r"\bfig[dou][rh]?_[\w-]{30,}",),
    "Dropbox token": (r"\bsl\.(?:u\.)?[\w-]{60,}",),
}

MODELS: dict[str, tuple[str, ...]] = {
    "OpenAI Token": (r"\bsk-(?:proj|svcacct|admin|None)-[\w-]{16,}", r"\bsk-[A-Za-z0-9]{16,}\b"),
    "Anthropic or other model key": (r"\bsk-(?:ant|or|lf|cp|litellm)-[\w-]{16,}",),
    "Hugging Face token": (r"\bhf_[A-Za-z0-9]{20,}\b", r"\bapi_org_[A-Za-z0-9]{30,}"),
    "W&B key": (r"\bwandb_v\d_[\w-]{30,}", r"(?i)\blocal-[0-9a-f]{40}\b"),
    "Groq key": (r"\bgsk_[A-Za-z0-9]{30,}",),
    "xAI key": (r"\bxai-[A-Za-z0-9]{60,}",),
    "Perplexity key": (r"\bpplx-[A-Za-z0-9]{32,}",),
    "Replicate token": (r"\br8_[A-Za-z0-9]{30,}",),
    "Fireworks key": (r"\bfw_[A-Za-z0-9]{20,}",),
    "NVIDIA key": (r"\bnvapi-[\w-]{40,}",),
    "LangSmith key": (r"\blsv2_(?:pt|sk)_[0-9a-f]{32}",),
    "Pinecone key": (r"\bpcsk_\w{40,}",),
    "Cerebras key": (r"\bcsk-[a-z0-9]{40,}",),
    "ElevenLabs key": (r"\bsk_[0-9a-f]{48}\b",),
    "Voyage key": (r"\bpa-[\w-]{40,}",),
    "Jina key": (r"\bjina_[0-9a-f]{32}[\w-]+",),
    "Tavily key": (r"\btvly-(?:dev-|prod-)?[A-Za-z0-9]{20,}",),
    "RunPod key": (r"\brpa_[A-Z0-9]{30,}",),
    "Firecrawl key": (r"\bfc-[0-9a-f]{32}\b",),
    "E2B key": (r"\be2b_[0-9a-f]{40}\b",),
}

MESSAGES: dict[str, tuple[str, ...]] = {
    "Slack Token": (
        r"\bxox[a-z](?:\.xox[a-z])?-[\w-]{10,}",
        r"\bxapp-\d-[A-Za-z0-9]+-\d+-[a-z0-9]+",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}",
    ),
    "Discord Bot Token": (r"\b[MNO][A-Za-z\d_-]{23,27}\.[\w-]{6}\.[\w-]{27,40}",),
    "Discord webhook": (r"discord(?:app)?\.com/api/webhooks/\d{15,21}/[\w-]{40,}",),
    "Teams webhook": (r"\.webhook\.office\.com/webhookb2/[\w@-]+/IncomingWebhook/[\w-]+",),
    "Telegram Bot Token": (r"\b\d{8,10}:[A-Za-z0-9_-]{35}\b", r"\b\d{8,10}:AA[A-Za-z0-9_-]{30,}"),
    "Twilio API Key": (r"\b(?:AC|SK)[0-9a-f]{32}\b",),
    "SendGrid API Key": (r"\bSG\.[\w-]{16,32}\.[\w-]{16,64}",),
    "Mailgun key": (r"\b(?:pub)?key-[0-9a-f]{32}\b",),
    "Mailchimp Access Key": (r"\b[0-9a-f]{32}-us\d{1,2}\b",),
    "Brevo key": (r"\bx(?:key|smtp)sib-[0-9a-f]{64}-[A-Za-z0-9]{16}",),
    "Facebook token": (r"\bEAA[A-Za-z0-9]{40,}",),
    "Twitter token": (r"\bA{18,}[A-Za-z0-9%]{40,}",),
    "Asana token": (r"\b[12]/\d{13,19}(?:/\d{13,19})?:[0-9a-f]{32}\b",),
    "HubSpot token": (rf"\bpat-(?:na|eu|ap)\d-{_UUID}",),
    "LinkedIn secret": (r"\bWPL_AP\d\.[A-Za-z0-9]{10,}\.[A-Za-z0-9+/=]{4,}",),
    "Zoho token": (r"\b1000\.[0-9a-f]{32}\.[0-9a-f]{32}\b",),
    "Typeform token": (r"\btfp_[\w.=-]{40,}",),
    "Mapbox token": (r"\b[ps]k\.eyJ[\w-]{10,}\.[\w-]{10,}",),
}

MONEY: dict[str, tuple[str, ...]] = {
    "Stripe Access Key": (r"\b(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{16,}", r"\bwhsec_[A-Za-z0-9+/=]{20,}"),
    "Square OAuth Secret": (r"\bsq0[a-z]{3}-[\w-]{22,}", r"\bEAAA[\w-]{60}\b"),
    "Braintree token": (r"\baccess_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}",),
    "Shopify token": (r"\bshp(?:at|ca|pa|ss|tka)_[0-9a-fA-F]{32}",),
    "Plaid token": (rf"\baccess-(?:sandbox|development|production)-{_UUID}",),
    "Flutterwave key": (r"\bFLW(?:PUB|SEC)K(?:_TEST)?-[0-9a-zA-Z]{12,40}-X\b",),
    "Razorpay key": (r"\brzp_(?:live|test)_[A-Za-z0-9]{14,}",),
    "private key of a wallet": (r"\b[xyztuv]prv[1-9A-HJ-NP-Za-km-z]{90,}",),
}

GENERAL: dict[str, tuple[str, ...]] = {
    "Private Key": (
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----",
        r"\bPuTTY-User-Key-File-\d",
        r"\bAGE-(?:SECRET-KEY|PLUGIN-[A-Z0-9]+)-1[0-9A-Za-z]{20,}",
    ),
    "JSON Web Token": (
        r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}",
        r"\beyJ[\w-]{8,}\.[\w-]*\.[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}",
    ),
    "hash of a password": (
        r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}",
        r"\$(?:1|5|6|y|apr1)\$(?:rounds=\d+\$)?[./A-Za-z0-9]{4,16}\$[./A-Za-z0-9]{22,}",
        r":[0-9a-f]{32}:[0-9a-f]{32}:::",  # Windows' accounts, as they are dumped
        r"\$krb5(?:tgs|asrep|pa)\$\d",
        r"\$argon2(?:id|i|d)\$v=\d+\$[\w=,]+\$[A-Za-z0-9+/]{11,}",
    ),
}

FORMS: dict[str, tuple[str, ...]] = CLOUDS | CODE | MODELS | MESSAGES | MONEY | GENERAL
"""Kind → patterns. A kind is words that may be shown; it holds no secret itself."""
