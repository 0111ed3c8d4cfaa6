# What the module makes, without an account.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  trusted_role_arns = ["arn:aws:iam::111111111111:role/s3-log-roller-us-west-2"]
  external_id       = "secret"
  prefixes          = ["s3://shop-logs/example.com/", "s3://shop-logs/", "s3://more-logs/a"]
}

run "exactly_the_actions_needed" {
  assert {
    condition     = sort(distinct(flatten([for one in jsondecode(aws_iam_role_policy.access.policy).Statement : one.Action]))) == tolist(["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListBucket", "s3:PutObject"])
    error_message = "No more than rolling up takes."
  }
  assert {
    condition     = sort(flatten([for one in jsondecode(aws_iam_role_policy.access.policy).Statement : one.Resource if contains(one.Action, "s3:PutObject")])) == tolist(["arn:aws:s3:::more-logs/a*", "arn:aws:s3:::shop-logs/*"])
    error_message = "On exactly the prefixes, without those that another one covers."
  }
  assert {
    condition     = jsondecode(aws_iam_role.access.assume_role_policy).Statement[0].Condition.StringEquals["sts:ExternalId"] == "secret"
    error_message = "The external id is asked for."
  }
}

run "deleting_is_allowed_when_asked_for" {
  variables {
    delete = true
  }
  assert {
    condition     = strcontains(aws_iam_role_policy.access.policy, "s3:DeleteObject")
    error_message = "Deleting is allowed."
  }
}

run "a_prefix_that_ends_in_a_date_is_refused" {
  command = plan
  variables {
    prefixes = ["s3://shop-logs/example.com/2022-07"]
  }
  expect_failures = [var.prefixes]
}

run "an_external_id_is_needed" {
  command = plan
  variables {
    external_id = ""
  }
  expect_failures = [var.external_id]
}
