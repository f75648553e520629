"""Synthetic secrets of many forms, made from a seed at run time: none is real, and none stands in the repository.

A form is a line of the table: name → how a text that holds such a secret is written. `{up16}` is 16 random characters
of the alphabet `up`; letters of prefixes are split where a scanner of repositories would take them for a key.
"""

from __future__ import annotations

import base64
import random
import re
import string

ALPHABETS = {
    "up": string.ascii_uppercase + string.digits,
    "low": string.ascii_lowercase + string.digits,
    "hex": "0123456789abcdef",
    "an": string.ascii_letters + string.digits,
    "url": string.ascii_letters + string.digits + "-_",
    "b64": string.ascii_letters + string.digits + "+/",
    "b58": "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
    "bech": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "num": string.digits,
}
_HOLE = re.compile(r"\{(b64|b58|up|low|hex|an|url|bech|num)(\d+)\}|\{(word|uuid|basic|pem)\}")

TOKENS = {
    "AWS access key id": "aws configure set aws_access_key_id AKIA{up16}",
    "AWS secret access key": "aws_secret_access_key = {b6440}",
    "AWS secret in the environment": "export AWS_SECRET_ACCESS_KEY={b6440}",
    "AWS session token": 'AWS_SESSION_TOKEN="FwoGZXIvYXdzE{b64120}"',
    "AWS presigned URL": "https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature={hex64}",
    "Azure storage connection string": "DefaultEndpointsProtocol=https;AccountName=st;AccountKey={b6486}==;Suffix=x",
    "Azure service bus": "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=R;SharedAccessKey={b6443}=",
    "Azure SAS": "https://st.blob.core.windows.net/c/f?sv=2022-11-02&se=2026-01-01&sr=b&sig={an43}%3D",
    "Azure client secret": "AZURE_CLIENT_SECRET={an3}8Q~{url34}",
    "Google API key": "maps.init('AIza{url35}')",
    "Google OAuth client secret": "GOCSPX-{url28}",
    "Google OAuth access token": "ya29.{url68}",
    "GCP service account": '{"type": "service_account", "private_key_id": "{hex40}", "private_key": "{pem}"}',
    "Alibaba access key": "LTAI{an20}",
    "Tencent secret id": "AKID{an32}",
    "DigitalOcean token": "doctl auth init -t dop_" + "v1_{hex64}",
    "Databricks token": "host: x\ntoken dapi{hex32}",
    "Heroku key": "HEROKU_API_KEY={uuid}",
    "Fly.io token": "fo1_{url43}",
    "Netlify token": "nfp_{an36}",
    "Supabase key": "sbp_{hex40}",
    "Tailscale key": "tailscale up --authkey tskey-auth-{an17}-{an32}",
    "Pulumi token": "pul-{hex40}",
    "Terraform token": "{an14}.atlasv1.{url67}",
    "Vault token": "vault login hvs.{url90}",
    "Doppler token": "dp.pt.{an43}",
    "Cloudflare token": "CLOUDFLARE_API_TOKEN={url40}",
    "GitHub classic": "git clone https://ghp_" + "{an36}@github.com/a/b",
    "GitHub OAuth": "gho_" + "{an36}",
    "GitHub app": "ghs_" + "{an36}",
    "GitHub fine-grained": "github_pat_" + "{an22}_{an59}",
    "GitLab personal": "glpat-" + "{url20}",
    "GitLab runner": "glrt-" + "{url20}",
    "Bitbucket app password": "ATBB{an32}",
    "Atlassian token": "ATATT3xFfGF0{url180}={up8}",
    "npm": "//registry.npmjs.org/:_authToken=npm_" + "{an36}",
    "PyPI": "twine upload -p pypi-AgEIcHlwaS5vcmc{url100}",
    "RubyGems": "rubygems_{hex48}",
    "Docker Hub": "docker login -u a -p dckr_pat_{url27}",
    "crates.io": "cargo login cio{an32}",
    "NuGet": "oy2{low43}",
    "Postman": "PMAK-{hex24}-{hex34}",
    "Sentry": "sntrys_{b6480}",
    "Grafana": "glsa_{an32}_{hex8}",
    "New Relic": "NRAK-{up27}",
    "Dynatrace": "dt0c01.{up24}.{up64}",
    "Datadog": "DD_API_KEY: {hex32}",
    "Linear": "lin_api_{an40}",
    "Notion": "ntn_{an46}",
    "Airtable": "pat{an14}.{hex64}",
    "Figma": "figd_{url40}",
    "OpenAI": "sk-" + "{an20}T3BlbkFJ{an20}",
    "OpenAI project": "OPENAI_KEY is sk-proj-" + "{url74}T3BlbkFJ{url74}",
    "Anthropic": "sk-ant-" + "api03-{url93}AA",
    "OpenRouter": "sk-or-" + "v1-{hex64}",
    "DeepSeek": "sk-" + "{hex32}",
    "Hugging Face": "login(token='hf_" + "{an34}')",
    "W&B login": "wandb login {hex40}",
    "W&B in Python": "wandb.login(key='{hex40}')",
    "W&B in prose": "Use my key {hex40} for the runs.",
    "Groq": "gsk_{an52}",
    "Replicate": "r8_{an37}",
    "Perplexity": "pplx-{hex48}",
    "NVIDIA": "nvapi-{url64}",
    "LangSmith": "lsv2_pt_{hex32}_{hex10}",
    "Cohere": 'cohere.Client(api_key="{an40}")',
    "Kaggle": '{"username": "ada", "key": "{hex32}"}',
    "Slack bot": "xoxb-" + "{num12}-{num12}-{an24}",
    "Slack webhook": "https://hooks.slack" + ".com/services/T{up8}/B{up8}/{an24}",
    "Discord bot": "M{an23}.{url6}.{url27}",
    "Discord webhook": "https://discord.com/api/webhooks/{num18}/{url68}",
    "Teams webhook": "https://x.webhook.office.com/webhookb2/{uuid}@{uuid}/IncomingWebhook/{hex32}/{uuid}",
    "Telegram": "{num10}:AA{url33}",
    "Twilio": "Client('AC{hex32}', '{hex32}')",
    "SendGrid": "SG." + "{url22}.{url43}",
    "Mailgun": "key-{hex32}",
    "Mailchimp": "{hex32}-us12",
    "Brevo": "xkeysib-{hex64}-{an16}",
    "Facebook": "EAACEdEose0cBA{an80}",
    "Twitter bearer": "AAAAAAAAAAAAAAAAAAAAA{an80}",
    "Mapbox": "sk.eyJ1{an40}.{url22}",
    "Stripe": "stripe.api_key = 'sk_" + "live_{an24}'",
    "Stripe webhook": "whsec_{an32}",
    "Square": "sq0atp-{url22}",
    "Shopify": "shpat_{hex32}",
    "Plaid": "access-production-{uuid}",
    "Razorpay": "rzp_live_{an14}",
    "JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJ{an30}.{url43}",
    "age key": "# created by age\nAGE-SECRET-KEY-1{bech58}",
    "PEM key": "{pem}",
    "PGP key": "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----\n{b6464}",
    "OpenSSH key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----\n{b6464}",
    "PuTTY key": "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none",
    "wallet": "xprv9s21ZrQH143K{b58100}",
}
WORDED = {
    "Authorization: Basic": "curl -H 'Authorization: Basic {basic}' https://x.io",
    "Authorization: Bearer": '"Authorization": "Bearer {an40}"',
    "Authorization: token": "Authorization: token {hex40}",
    "Basic in a dictionary": "headers['Authorization'] = 'Basic {basic}'",
    "X-Api-Key": "X-Api-Key: {an32}",
    "Private-Token": "PRIVATE-TOKEN: {url20}",
    "Cookie header": "Cookie: theme=dark; sessionid={low32}; lang=en",
    "Set-Cookie header": "Set-Cookie: PHPSESSID={low26}; path=/",
    "JSON": '{"token": "{an24}"}',
    "JSON in JSON": '{"body": "{\\"token\\": \\"{an24}\\"}"}',
    "JSON twice in JSON": '{\\\\\\"api_key\\\\\\": \\\\\\"{hex32}\\\\\\"}',
    "JSON with escaped line ends": '"log in with:\\nghp_' + '{an36}\\nthen"',
    "YAML": "db:\n  password: {word}{num3}\n  host: x",
    "TOML": 'client_secret = "{url32}"',
    "INI": "[db]\npassword = {word}{num4}",
    "shell": "export DB_PASSWORD='{word}!{num3}'",
    "PGPASSWORD": "PGPASSWORD={word}{num3} psql -h x",
    "command line flag": "mycli --password {word}{num4} --host x",
    "curl user": "curl -u admin:{word}{num3} https://x.io",
    "mysql flag": "mysql -u root -p{word}{num3} db",
    "sshpass": "sshpass -p {word}{num2} ssh root@x",
    "netrc": "machine x.io login ada password {word}{num3}",
    "PHP define": "define('DB_PASSWORD', '{word}#{num2}');",
    "Ruby hash": ":password => '{word}{num3}'",
    "Go struct": 'Password: "{word}{num3}",',
    "Java property": "spring.datasource.password={word}{num3}",
    "typed constant": 'api_key: str = "{an32}"',
    "XML element": "<password>{word}{num3}</password>",
    "XML attribute": '<add key="ApiKey" value="{an32}"/>',
    "ADO string": "Server=db;User Id=sa;Password={word}!{num3};Encrypt=no",
    "JDBC": "jdbc:mysql://h/d?user=root&password={word}{num3}",
    "SQL": "CREATE USER ada IDENTIFIED BY '{word}{num3}'",
    "PostgreSQL URL": "postgres://root:{word}{num3}@db.internal/main",
    "MongoDB URL": "mongodb+srv://ada:{an16}@c0.mongodb.net",
    "Redis URL": "redis://:{an16}@cache:6379/0",
    "URL with a token": "https://{hex40}@git.x.io/a.git",
    "AMQP URL": "amqp://svc:{word}{num2}@mq:5672",
    "shadow": "root:$6$" + "{an12}${an86}:19000:0",
    "bcrypt": "$2b$12$" + "{an53}",
    "Kubernetes secret": "data:\n  password: {an24}",
    "password in prose": "Log in as root, the password is {word}{num2}.",
    "password in prose, quoted": "The password for staging is '{word}{num3}'",
    "my password": "my password is {word}fish",
    "password beside": "connect with user bob and password {word}{num3} please",
    "set the password to": "Then set the password to {word}!{num2}x",
    "credentials": "credentials: admin:{word}{num3}",
    "log in with": "You can log in with admin/{word}{num3}",
    "API key in prose": "The API key is {an32}, keep it.",
    "token in prose": "my token is {hex24}",
    "seed phrase": "seed phrase: {word} {word} {word} {word} {word} {word} {word} {word} {word} {word} {word} {word}",
    "mail address": "write to {word}.smith@{word}-group.com",
    "otpauth": "otpauth://totp/x:ada?secret={bech32}&issuer=x",
    "pip index": "--index-url https://ada:{word}{num3}@pypi.x.io/simple",
    "bare base64": "use {b6448} as it is",
}
FORMS = TOKENS | WORDED
_PARTS = "wal ter gob lin mar pek sto vin dra hul nex por tam zel kor bri".split()


def sample(name: str, dice: random.Random) -> str:
    """Return a text that holds a synthetic secret of this form."""
    return _HOLE.sub(lambda hole: _filled(hole, dice), FORMS[name])


def _filled(hole: re.Match[str], dice: random.Random) -> str:
    kind = hole[1] or hole[3]
    if kind == "word":
        return "".join(dice.sample(_PARTS, 2))
    if kind == "uuid":
        digits = "".join(dice.choices(ALPHABETS["hex"], k=32))
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    if kind == "basic":
        name = "".join(dice.sample(_PARTS, 2))
        return base64.b64encode(f"{name}:{dice.randrange(10**6)}x".encode()).decode()
    if kind == "pem":
        return "-----BEGIN " + "PRIVATE KEY-----\\n" + "".join(dice.choices(ALPHABETS["b64"], k=64))
    return "".join(dice.choices(ALPHABETS[kind], k=int(hole[2])))
