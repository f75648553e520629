"""Every form of a secret is found wherever it stands; what only looks like one in code and prose is left alone."""

from __future__ import annotations

import random

import pytest

from benchmarks.secret_detection import real_rows, recall
from benchmarks.secret_samples import FORMS, sample
from parammem.validation.private import find_private
from parammem.validation.secret_forms import FORMS as OURS
from parammem.validation.secrets import MAIL, NAMED, TOO_MANY, find_secrets, holds_secret

DICE = random.Random(5)
HEX = "".join(DICE.choices("0123456789abcdef", k=40))
"""As long as a key of Weights & Biases, and as a commit's hash."""


def test_every_form_is_found_alone_and_inside_a_long_row():
    found = recall(seed=1)
    assert len(found) >= 140
    assert {name for name, share in found.items() if share < 0.9} == set()
    assert sum(found.values()) / len(found) > 0.998


@pytest.mark.parametrize(
    "text",
    [
        "wandb login " + HEX,
        f'wandb.login(key="{HEX}")',
        f"my W&B key: {HEX}",
        f"take {HEX} for it",
        "dop_" + "v1_" + HEX + "0" * 24,
        "dapi" + HEX[:32],
        "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE",
        "Authorization: Basic " + "dXNlcjpwYXNz",
        "Cookie: SID=31d4d96e407aad42; lang=en",
        '{\\"token\\": \\"Zt5kPq0vN3xY7rB1\\"}',
        "the password is hunter2",
        "the password is hunter2horse.",
        "use hunter2x as the password",
        "my password is swordfish",
    ],
)
def test_forms_that_once_became_training_rows_are_found(text):
    assert holds_secret(text), text


NO_SECRETS = [
    'password=None',
    'login(user, password=None)',
    'f(token=token)',
    'def f(password: str = ""): pass',
    'def connect(host, password=None, token=None):',
    'client = Client(token=token, password=password)',
    'client = Client(api_key=os.environ["API_KEY"])',
    'client = Client(api_key=os.getenv("OPENAI_API_KEY"))',
    'api_key = config["api_key"]',
    'api_key=settings.API_KEY2',
    'secret = random.randint(1, 100)',
    'game = Hangman(secret=secret_word)',
    'game = Hangman(secret=secretword1)',
    'tok = load(name, pad_token=tokenizer.eos_token)',
    'tokenizer = load(eos_token="</s>", pad_token="[PAD]", unk_token="<unk>")',
    'token = tokens[i]',
    'token = tokens[0] if tokens else None',
    'token = self.next_token',
    'token = lexer.next_token()',
    'token = current_token2',
    'while token != "EOF":',
    'if token == "LPAREN1":',
    'password = input("Enter password: ")',
    'password = getpass.getpass()',
    'password = "".join(random.choice(chars) for _ in range(8))',
    'if password == confirm_password:',
    'if len(password) < 8:',
    'password: Optional[str] = None',
    'password = password1',
    'passwords = {"bob": pw1}',
    'print("Password is strong")',
    'print(f"token: {token}")',
    'The password must have at least 8 characters and 1 digit.',
    'The password is 8-16 characters long.',
    'A password is valid if it has a digit.',
    'the password is incorrect',
    'your password is required',
    'Password: must be at least eight characters',
    'token: the next word of the sentence',
    'The secret is to use two pointers.',
    'the secret is "banana"',
    "request_id = '550e8400-e29b-41d4-a716-446655440000'",
    'assert uuid == "550e8400-e29b-41d4-a716-446655440000"',
    '{"id": "507f1f77bcf86cd799439011", "name": "x"}',
    'commit 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12',
    'assert sha1("The quick") == "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"',
    'hashlib.sha256(b"a").hexdigest() == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4f72b9807785afee48bb"',
    "assert md5('a') == '0cc175b9c0f1b6a831c399e269772661'",
    "A = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'",
    'B = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"',
    'C = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"',
    'D = "QWERTYUIOPASDFGHJKLZXCVBNMqwertyuiopasdfghjklzxcvbnm1234567890"',
    'return A@B.T',
    'return A@B.transpose()',
    'y = X@W.dot(v)',
    'loss = (x@w.T).sum()',
    'C = A@B.to(device)',
    'z = weights@inputs.flatten()',
    'z = x@y.real',
    '@app.route("/a")',
    '@property',
    'git@github.com:owner/name.git',
    'ssh://git@gitlab.com/owner/name.git',
    'user@example.com',
    'user@sub.example.org',
    'someone@localhost',
    'npm install pkg@1.2.3',
    'pip install git+https://github.com/a/b@main',
    'key=lambda row: row[0]',
    'sorted(xs, key=operator.itemgetter(1))',
    'd = {"key": "value", "token": "word"}',
    '{"type": "object", "properties": {"password": {"type": "string"}, "token": {"type": "string"}}}',
    '{"password": "string", "token": "string"}',
    'password=<your password>',
    'password=YOUR_PASSWORD',
    'api_key="YOUR_API_KEY_1234"',
    'export TOKEN=$GITHUB_TOKEN1',
    'token: ${{ secrets.GITHUB_TOKEN }}',
    'Authorization: Bearer <token>',
    'Authorization: Bearer YOUR_TOKEN_HERE',
    'headers = {"Authorization": f"Bearer {token}"}',
    'headers = {"Authorization": "Bearer " + token}',
    'Basic understanding of algorithms',
    'Basic arithmetic operations',
    'postgres://user:password@localhost/db',
    'postgresql://${USER}:${PASS}@localhost/db',
    'http://localhost:8000/path@x',
    'https://example.com:443/@user',
    'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'integrity: sha512-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUAbcDefGhIJkLmnOpQrStUvWxYz012345==',
    'getUserAccountInformationByIdentifier2AndReturnAll1',
    'longest_common_subsequence_of_two_strings_recursive',
    'TestThatTheUserCanLogin2WithAVeryLongName1Here',
    'tokens = text.split()',
    'num_tokens=1024',
    'max_tokens: 16',
    'token_count = 12345678',
    'eos_token_id=50256',
    'secret_key_length = 32',
    'private_key = generate_private_key(65537, 2048)',
    'public_key = private_key.public_key()',
    'The private key is d such that ed = 1 mod phi',
    'the key is encrypted with AES-256',
    'secret = "".join(chr(c) for c in codes1)',
    'secret message: HELLO WORLD',
    'cookie = SimpleCookie()',
    'cookies = {"chocolate": 5}',
    'Cookie: 12 per box',
    'Each box has 24 cookies: 12 chocolate',
    'pass: 5 fail: 3',
    'bypass=valve12',
    'if c == "pw": pass',
    'DNA = "ATGCATGCATGCATGCATGCATGCATGCATGC"',
    '10000000000000000000000000000000000000001',
    'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
    'token = "word2vec"',
    'secret: bool = False',
    'self.secret = secret',
    'self.token = token',
    'self.password_hash = generate_password_hash(password)',
    'access_token = response.json()["access_token"]',
    'token = jwt.encode(payload, key)',
    'token=request.headers.get("X-Token")',
    'auth=(user, password)',
    'credentials=credentials',
    'the login page has 2 fields: name/password',
    'log in with name/email1',
    'the access key is stored in the vault',
    'version token is v1.2.3',
    'f(a, b, secret=42)',
    'guess(secret=1234567890)',
    'Now all tests pass:\n**Target** is met',
    'Checks that pass: ~~Target~~',
    'Password: **Required**',
]  # fmt: skip


@pytest.mark.parametrize("text", NO_SECRETS)
def test_identifiers_arguments_hashes_and_products_are_no_secrets(text):
    assert find_private(text) == ()
    assert find_private(f"```python\n{text}\n```") == ()


@pytest.mark.parametrize("judging", ["is_strong", "not is_valid_password", "validate", "strength_of", "has_digit"])
def test_a_password_that_is_tried_in_a_test_is_an_example(judging):
    assert find_secrets(f"assert {judging}(password='Tr0ub4dor&3x')") == ()
    assert find_secrets("assert login(password='Tr0ub4dor&3x')") != ()
    assert find_secrets("password='Tr0ub4dor&3x'") != ()


@pytest.mark.parametrize("name", ["sha1", "git commit", "revision", "hash", "checksum:"])
def test_forty_hex_digits_beside_the_word_for_a_hash_are_no_key(name):
    assert find_secrets(f"the {name} {HEX} is right") == ()
    assert find_secrets(f"the key {HEX} is right") == (NAMED,)


def test_an_id_that_is_all_of_its_value_is_no_key():
    assert find_secrets(f"task\n{HEX}\nmore") == ()


def test_addresses_of_nobody_are_no_mail_addresses():
    assert find_secrets("ada@example.com, bob@sub.example.org, git@github.com:a/b.git, x@y.test") == ()
    assert find_secrets("ada@" + "myexample.com") == (MAIL,)


def test_the_kind_is_named_by_its_form():
    assert find_secrets(sample("GitHub OAuth", DICE)) == ("GitHub Token",)
    assert find_secrets(sample("Databricks token", DICE))[0] == "Databricks token"
    assert find_secrets("password = 'hunter22!x'") == (NAMED,)


def test_names_of_kinds_hold_no_secret():
    for kind in [*OURS, NAMED, MAIL]:
        assert find_private(f"{kind} in trajectory.attempts.0.candidate; {kind} in task.visible.… (a key)") == ()


def test_half_of_a_surrogate_pair_is_no_error():
    assert find_private("x = '\ud83d' # " + sample("GitHub OAuth", DICE)) == ("GitHub Token",)


def test_a_secret_behind_megabytes_of_anything_is_found():
    """The automaton of all forms has a memory limit; running out of it must not read as "nothing there"."""
    noise = "".join(DICE.choices("AIzaSKxoxbghp_-.=:/0123456789eyJ ", k=1 << 20))
    for name in FORMS:
        assert find_secrets(noise + "\n" + sample(name, DICE)), name


def test_more_numbers_than_are_checked_are_said_and_not_passed_over():
    numbers = "\n".join(f"+9990000{n:06d}" for n in range(5000))
    assert find_private(numbers) == ("more than can be checked",)
    assert find_private("\n".join(["+44 20 7946 " + "0958", numbers])) == ("telephone number",)
    assert find_private("\n".join(["+9990000000001"] * 5000)) == ()


def test_more_candidates_than_are_judged_are_said_and_not_passed_over():
    assert find_secrets("token=abcdefg " * 60_000) == (TOO_MANY,)
    assert find_secrets("token=abcdefg " * 100) == ()


def test_digits_of_a_fraction_are_no_card_number():
    assert find_private("2.4111111111111111") == ()
    assert find_private("4111111111" + "111111") == ("card number",)


def test_of_two_thousand_real_rows_at_most_one_is_taken_for_a_secret(shared_data):
    rows = list(real_rows(shared_data))
    flagged = [text for _, text in rows if find_private(text)]
    assert len(rows) > 20_000
    assert len(flagged) <= len(rows) / 2000


@pytest.mark.parametrize("digits", ["10" * 20, "1100101011110000110010101111000011001010", "3141592653" * 4])
def test_forty_digits_are_bits_or_a_number_and_no_key(digits):
    assert find_secrets(f"x='{digits}'") == ()
    assert find_secrets(f"n = {digits}") == ()
